"""`mmctr canary`: what the request log of `mmctr serve` says of a challenger, and of the features that serving gets."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.options import WorkspaceOption

if TYPE_CHECKING:
    from components.canary.skew import Line
    from components.tracking.models import Models

app = typer.Typer(
    no_args_is_help=True, help="Judge a challenger by what users clicked, and the features that serving gets."
)
NOT_SHOWN = 3  # exit status: the challenger is not shown to be better; serving's features differ from training's
Log = Annotated[str, typer.Argument(help="Where `mmctr serve --log` writes: a folder or s3://bucket/prefix.")]
Since = Annotated[str | None, typer.Option(help="The first day in UTC, such as 2026-11-28.")]
Until = Annotated[str | None, typer.Option(help="The day before which to end.")]
Name = Annotated[str, typer.Option("--name", help="The registered model.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON alone, for programs.")]


@app.command()
def report(
    log: Log,
    clicks: Annotated[
        Path, typer.Option(help="Parquet or CSV with request_id and item_id; also time, and label of shown items.")
    ],
    champion: Annotated[int | None, typer.Option(help="The version's number.", show_default="the champion")] = None,
    challenger: Annotated[int | None, typer.Option(help="The version's number.", show_default="the challenger")] = None,
    mode: Annotated[
        str | None, typer.Option(help="shadow: two scores of each request; split: two groups of users.")
    ] = None,
    alpha: Annotated[float, typer.Option(help="Largest chance of a false promotion, however often one looks.")] = 0.05,
    margin: Annotated[float, typer.Option(help="What the challenger may lose; 0: it must be better.")] = 0.0,
    effect: Annotated[
        float | None,
        typer.Option(
            help="The difference that matters, chosen before the data are seen.",
            show_default="0.005 AUC (shadow), 0.01 clicks a request (split)",
        ),
    ] = None,
    shown: Annotated[
        int | None, typer.Option(help="In the shadow: so many items of each request were shown, best first.")
    ] = None,
    within: Annotated[float, typer.Option(help="Hours after the request in which a click with a time counts.")] = 24.0,
    since: Since = None,
    until: Until = None,
    name: Name = "mmctr",
    workspace: WorkspaceOption = Path(".mmctr"),
    as_json: AsJson = False,
) -> None:
    """Say whether the challenger does better than the champion. Look as often as you like. A person promotes it.

    Exit status: 0 it is better · 3 it is worse, or nothing is shown yet · 1 failed.

    Example: `mmctr canary report requests --clicks clicks.parquet`
    """
    from components.canary.report import Question
    from components.canary.report import report as judge
    from components.request_log.read import period
    from components.storage.objects import open_store
    from components.tracking.tags import CHALLENGER, CHAMPION

    asked = period(since, until)
    if champion is None or challenger is None:
        models = _models(name, workspace)
        champion, challenger = (
            _number(models, alias) if number is None else number
            for alias, number in ((CHAMPION, champion), (CHALLENGER, challenger))
        )
    question = Question(champion, challenger, mode, alpha, margin, effect, shown, within)  # type: ignore[arg-type]
    found = judge(open_store(log), asked, clicks, question)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        _print_report(found)
    if found["verdict"] != "promote":
        raise SystemExit(NOT_SHOWN)


@app.command()
def skew(
    log: Log,
    version: Annotated[int | None, typer.Option(help="The version's number.", show_default="the champion")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change one limit: validate.psi_warn=0.4. May be repeated.")
    ] = None,
    since: Since = None,
    until: Until = None,
    name: Name = "mmctr",
    workspace: WorkspaceOption = Path(".mmctr"),
    as_json: AsJson = False,
) -> None:
    """Hold the features that serving got against those that the version was trained on.

    Exit status: 0 they are alike · 3 at least one differs · 1 failed.

    Example: `mmctr canary skew requests --since 2026-11-28`
    """
    from components.canary.skew import skew as measure
    from components.packages.fetch import local_package
    from components.request_log.read import period, read_log
    from components.storage.objects import open_store
    from components.tracking.tags import CHAMPION
    from pipelines.presets import resolve
    from pipelines.workspace import temporary_files_in, usable

    policy = resolve("sample", overrides, None).validate
    asked = period(since, until)
    models = _models(name, workspace)
    number = _number(models, CHAMPION) if version is None else version
    rows = read_log(open_store(log), asked)
    folder = usable(workspace)
    with temporary_files_in(folder):
        package = local_package(models, models.version(number), folder / "cache" / "models")
        lines = measure(rows[rows["version"] == number], package, policy)
    skewed = [line for line in lines if line.skewed]
    if as_json:
        print(json.dumps({"version": number, "lines": [line.as_json() for line in lines]}, indent=2))
    else:
        _print_skew(number, lines)
    if skewed:
        raise SystemExit(NOT_SHOWN)


def _models(name: str, workspace: Path) -> "Models":
    from components.tracking.models import Models
    from components.tracking.server import connect, existing_registry

    return Models(connect(existing_registry(workspace)), name)


def _number(models: "Models", alias: str) -> int:
    from components.packages.fetch import version_at

    found = version_at(models, alias)
    if found is None:
        raise ValueError(f"{models.name} has no version at alias {alias!r}: give --{alias} and its number")
    return found.number


def _print_report(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(title=f"challenger {found['challenger']} against champion {found['champion']}, {found['mode']}")
    table.add_column("what")
    table.add_column("value", justify="right")
    for key in ("users", "users_challenger", "requests", "requests_challenger", "stood_in", "rows", "clicks"):
        if key in found:
            table.add_row(_WORDS[key], f"{found[key]:,}")
    if "value" in found:
        table.add_row(f"difference in {found['measure']}", f"{found['value']:+.4f}")
    if "low" in found:
        table.add_row("surely no lower than", f"{found['low']:+.4f}")
        table.add_row("surely no higher than", f"{found['high']:+.4f}")
        table.add_row("p, valid at every look", f"{found['p_better']:.2g}")
    console.print(table)
    for key, words in _LEFT_OUT.items():
        if found[key]:
            console.print(f"{found[key]:,} {words}")
    console.print(f"{found['verdict']}: {_verdict(found)}")


def _print_skew(number: int, lines: "list[Line]") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(title=f"features as served against features as trained, version {number}")
    for column in ("feature", "measure", "value", "limit", ""):
        table.add_column(column, justify="right" if column in ("value", "limit") else "left")
    for line in lines:
        verdict = line.why or ("differs" if line.skewed else "")
        table.add_row(line.feature, line.measure, f"{line.value:.3f}", f"{line.limit:.2f}", verdict)
    console.print(table)
    skewed = sorted({line.feature for line in lines if line.skewed})
    console.print(f"these differ: {', '.join(skewed)}" if skewed else "nothing differs by more than its limit")


_WORDS = {
    "users": "users",
    "users_challenger": "users of the challenger",
    "requests": "requests",
    "requests_challenger": "requests of the challenger",
    "stood_in": "of these the champion answered, because the challenger could not",
    "rows": "items shown",
    "clicks": "clicks",
}
_LEFT_OUT = {
    "requests_without_user": "requests named no user, and each counts as a user of its own.",
    "late_clicks": "clicks came too late, or before their request, and do not count.",
    "clicked_requests_not_in_log": "requests of the clicks are not in the log, because it is a sample.",
}


def _verdict(found: dict[str, Any]) -> str:
    certainty = f"at {100 * (1 - found['alpha']):g}% certainty, however often one looks"
    if found["verdict"] == "promote":
        bar = f"at most {found['margin']:g} worse" if found["margin"] else "better"
        return f"the challenger is {bar} {certainty}. To approve it: mmctr review approve {found['challenger']}"
    if found["verdict"] == "worse":
        return f"the challenger is worse {certainty}. To reject it: mmctr review reject {found['challenger']}"
    return f"{found.get('why', 'the difference may be chance')}; go on, and look again."
