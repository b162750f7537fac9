"""`mmctr data` and `mmctr import`: data into the repository, and other people's files into the challenge's form."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.options import SetOption, WorkspaceOption
from pipelines.workspace import temporary_files_in

if TYPE_CHECKING:
    from components.dataset.importers import ImportReport

data_app = typer.Typer(no_args_is_help=True, help="Version the data, and see what changed between two versions.")
import_app = typer.Typer(no_args_is_help=True, help="Bring other data into the challenge's form.")


@data_app.command()
def add(
    folder: Annotated[Path, typer.Argument(help="A folder in the challenge's layout; data itself, or any other.")],
    push: Annotated[bool, typer.Option("--push", help="Send the content to the default DVC remote as well.")] = False,
    workspace: WorkspaceOption = Path(".mmctr"),
) -> None:
    """Make a folder the repository's data: it becomes data/, and data.dvc names it.

    Examples: `mmctr data add data` · `mmctr data add ~/MicroLens_1M_MMCTR --push`
    """
    from components.data_versions.publish import add_data

    _folder(folder)
    with temporary_files_in(workspace):
        added = add_data(Path.cwd(), folder, _cache(workspace), push)
    print(f"data.dvc names {added.md5}: {added.files} files, {added.size / 2**20:.1f} MiB")
    if added.pushed is None:
        print("now: .venv/bin/dvc push, and git add data.dvc && git commit -m 'New data'")
    else:
        print(f"{added.pushed} objects pushed; now: git add data.dvc && git commit -m 'New data'")


@data_app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="A folder in the layout of the data contract.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", file_okay=False, help="Folder for verdict.json and data_docs.html.")
    ],
    overrides: SetOption = None,
    champion: Annotated[Path | None, typer.Option(help="Folder of a champion to measure drift against.")] = None,
) -> None:
    """Hold a folder against the rules of validation, as a run would.

    Example: `mmctr data check ~/clicks --out checked --set validate.severities=users-apart=warn`
    """
    from components.data_versions.check import check_data
    from pipelines.presets import resolve

    policy = resolve("sample", overrides, None).validate
    _folder(folder)
    verdict = check_data(folder, policy, out, champion)
    for rule in verdict["rules"]:
        if not rule["passed"]:
            print(f"{rule['severity']}: {rule['message']}")
    print(f"{verdict['status']}: read {out / 'data_docs.html'}")


@data_app.command()
def diff(
    before: Annotated[str, typer.Argument(help="Commit, tag or branch.")],
    after: Annotated[str, typer.Argument(help="The later one.")] = "HEAD",
    repository: Annotated[str, typer.Option(help="A checkout, or the URL of a repository.")] = ".",
    workspace: WorkspaceOption = Path(".mmctr"),
) -> None:
    """Show what changed between two revisions: rows, users, items, label rate, drift.

    Example: `mmctr data diff HEAD~1 HEAD`
    """
    from rich.console import Console
    from rich.table import Table

    from components.data_versions.compare import compare

    with temporary_files_in(workspace):
        changes = compare(repository, before, after, _cache(workspace))
    table = Table("", before, after, "distance", box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for change in changes:
        distance = "" if change.distance is None else f"{change.measure} {change.distance:.3f}"
        table.add_row(change.what, _number(change.before), _number(change.after), distance)
    Console().print(table)


@import_app.command()
def movielens(
    source: Annotated[Path, typer.Argument(help="Folder with ratings.csv, items.csv and, if there, posters.tar.")],
    out: Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder to write the dataset into.")],
    seed: Annotated[int, typer.Option(help="Of the draw of negatives.")] = 1,
    features: Annotated[
        bool, typer.Option("--features", help="Declare hour, weekday, release year, genres and time gaps as features.")
    ] = False,
) -> None:
    """Convert MovieLens with posters: clicks into rows, levels from train alone, splits by time.

    With `--features` the data set has a features.yaml instead of the challenge's levels.

    Examples: `mmctr import movielens ~/movielens-100k --out ~/movielens-mmctr` ·
    `mmctr import movielens ~/movielens-100k --features --out ~/movielens-features`
    """
    from components.dataset.importers import movielens as levels
    from components.dataset.importers import movielens_features

    _folder(source)
    if seed < 0:
        raise ValueError(f"--seed {seed}: must be at least 0")
    _report((movielens_features if features else levels)(source, out, seed))
    print(f"{out} is ready: mmctr run --data {out}")


@import_app.command("log")
def log_command(
    log: Annotated[Path, typer.Argument(help="Parquet or CSV file, or a folder of them: one row an event.")],
    out: Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder to write the data set into.")],
    features: Annotated[
        Path | None, typer.Option(help="The features.yaml that names the columns.", show_default="beside the log")
    ] = None,
    items: Annotated[Path | None, typer.Option(help="Parquet or CSV file with one row for each item.")] = None,
    covers: Annotated[Path | None, typer.Option(help="Folder or tar with one .jpg or .png for each item.")] = None,
    negatives: Annotated[
        str, typer.Option(help="For a log of clicks alone, one draw for each name: uniform, popular, recent.")
    ] = "uniform,recent",
    train: Annotated[float, typer.Option(help="Share of the events, in the order of time, that becomes train.")] = 0.8,
    valid: Annotated[float, typer.Option(help="Share that becomes valid; the rest is test.")] = 0.1,
    history: Annotated[int, typer.Option(help="Newest clicks that a row keeps, at most 100.")] = 50,
    min_history: Annotated[int, typer.Option(help="Leave out rows whose user had clicked fewer items before.")] = 1,
    ids_from: Annotated[Path | None, typer.Option(help="An earlier data set, whose ids stay as they are.")] = None,
    seed: Annotated[int, typer.Option(help="Of the draw of negatives.")] = 1,
    memory_mb: Annotated[int, typer.Option(help="What the engine keeps in memory; the rest goes to disk.")] = 1000,
) -> None:
    """Make a data set of your own log: histories, splits by time, negatives, whole-number ids.

    The section `log` of features.yaml names the columns; `mmctr init` proposes it. "Features of your own" in the
    documentation describes it.

    Examples: `mmctr import log clicks.parquet --items items.csv --covers covers/ --out data` ·
    `mmctr import log clicks.csv --negatives uniform,popular --out data`
    """
    from components.dataset.importers import LogImport, import_log

    folder = log if log.is_dir() else log.parent
    settings = LogImport(
        log,
        features or folder / "features.yaml",
        out,
        items,
        covers,
        ids_from,
        tuple(policy.strip() for policy in negatives.split(",") if policy.strip()),
        train,
        valid,
        history,
        min_history,
        seed,
        memory_mb,
    )
    _report(import_log(settings))
    print(f"{out} is ready: mmctr run --data {out}")


@import_app.command()
def microlens(
    folder: Annotated[Path, typer.Argument(help="Folder that the MicroLens_1M_MMCTR release was unpacked into.")],
) -> None:
    """Check the challenge's own release: what is there, what is missing. Nothing is copied.

    Example: `mmctr import microlens ~/MicroLens_1M_MMCTR`
    """
    from components.dataset.importers import microlens as check

    _folder(folder)
    _report(check(folder))
    print(f"{folder} can be used as it is: mmctr run --data {folder}")


@import_app.command("microlens-bench")
def microlens_bench(
    release: Annotated[Path, typer.Argument(help="Folder that the MicroLens_1M_MMCTR release was unpacked into.")],
    out: Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder to write the data set into.")],
) -> None:
    """Split the release as MMCTR-Bench does: its train 80/10/10 by row with seed 42, the newest 5 items of a history.

    Example: `mmctr import microlens-bench ~/MicroLens_1M_MMCTR --out ~/microlens-bench`
    """
    from components.dataset.importers import microlens_bench as split

    _folder(release)
    _report(split(release, out))
    print(f"{out} is ready: mmctr run --data {out} --set validate.severities=users-apart=warn")


def _report(report: "ImportReport") -> None:
    for line in report.lines:
        print(line)
    for problem in report.problems:
        print(f"problem: {problem}")
    if report.problems:
        raise SystemExit(1)


def _folder(path: Path) -> None:
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder")


def _cache(workspace: Path) -> Path:
    return workspace.resolve() / "cache" / "data"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
