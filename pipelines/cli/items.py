"""`mmctr items`: items that are newer than the version in service are scored at once, without a training."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import DataOption, RevisionOption, WorkspaceOption, check_data
from pipelines.cli.stopping import stoppable

app = typer.Typer(no_args_is_help=True, help="Score new items at once, without a training.")

Name = Annotated[str, typer.Option("--name", help="The registered model.")]
By = Annotated[str, typer.Option("--by", help="Who publishes or revokes.", show_default="your account")]


@app.command()
def refresh(
    data: DataOption = None,
    revision: RevisionOption = None,
    by: By = "",
    note: Annotated[str, typer.Option("--note", help="Why.")] = "new data",
    name: Name = "mmctr",
    workspace: WorkspaceOption = Path(".mmctr"),
) -> None:
    """Encode the items that are new or changed as the champion does, and publish them for it.

    `mmctr predict` and `mmctr serve` then score them from their content. Known items keep their scores.

    Examples: `mmctr items refresh` · `mmctr items refresh --data data`
    """
    check_data(data, revision, workspace)
    from components.tracking.models import Models
    from components.tracking.server import connect, existing_registry
    from pipelines.workspace import temporary_files_in, usable

    models = Models(connect(existing_registry(workspace)), name)
    from components.items.from_data import refresh_from  # loads torch: after the server has answered

    folder = usable(workspace)
    with stoppable(), temporary_files_in(folder):
        done = refresh_from(data, Path.cwd(), revision or "HEAD", models, folder, by or getpass.getuser(), note)
    print(f"{done.sentence()}.")


@app.command("list")
def list_tables(name: Name = "mmctr", workspace: WorkspaceOption = Path(".mmctr")) -> None:
    """Show every item table that was published or revoked, newest first, and which one counts.

    Example: `mmctr items list`
    """
    from components.tracking.item_tables import read_tables
    from components.tracking.models import Models
    from components.tracking.server import connect, existing_registry

    tables = read_tables(Models(connect(existing_registry(workspace)), name))
    if not tables.entries:
        print(f"no item table was published for {name}; `mmctr items refresh` publishes one.")
    for number, entry in sorted(tables.entries.items(), reverse=True):
        counts = " · counts now" if tables.current(entry.version, entry.package) == entry else ""
        items = f" ({entry.facts['new']} new, {entry.facts['changed']} changed)" if entry.facts else ""
        print(f"{number}  {entry.at}  {entry.sentence()}{items}{counts}")


@app.command()
def revoke(
    version: Annotated[int, typer.Argument(help="The version's number, as `mmctr items list` shows it.")],
    note: Annotated[str, typer.Option("--note", help="Why.")],
    by: By = "",
    name: Name = "mmctr",
    workspace: WorkspaceOption = Path(".mmctr"),
) -> None:
    """Take the item table of a version back: the one before it counts again, or the version's own.

    Example: `mmctr items revoke 3 --note "covers and titles were mixed up"`
    """
    from components.items.revoke import revoke as take_back
    from components.tracking.models import Models
    from components.tracking.server import connect, existing_registry

    models = Models(connect(existing_registry(workspace)), name)
    with stoppable():
        print(take_back(models, version, by or getpass.getuser(), note))
