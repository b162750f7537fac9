"""`mmctr init`: from files that the product has never seen to a features.yaml that a person reads and corrects."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from components.dataset.importers import Proposal


def init(
    paths: Annotated[
        list[Path], typer.Argument(help="A folder, or files: the log, the items, a folder of covers.", metavar="PATH…")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write it.", show_default="features.yaml beside the log")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Look at a log of clicks, an item table and covers, and propose a features.yaml for them.

    It says of what it is unsure, what looks wrong, and shows five rows as the model will see them.

    Examples: `mmctr init shop/` · `mmctr init clicks.parquet items.csv covers/`
    """
    from components.dataset.importers import propose

    proposal = propose(paths)
    folder = proposal.log if proposal.log.is_dir() else proposal.log.parent
    path = out or folder / "features.yaml"
    if path.exists() and not force:
        raise ValueError(f"{path} is there already: give --force to replace it, or --out for another file")
    path.write_text(proposal.text)
    _show(proposal, path)


def _show(proposal: "Proposal", path: Path) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(proposal.text)
    for title, lines in (("unsure", proposal.unsure), ("suspicious", proposal.suspicious)):
        for line in lines:
            console.print(f"{title}: {line}")
    if proposal.problem:
        console.print(f"no rows can be shown yet: {proposal.problem}")
    for number, row in enumerate(proposal.rows, start=1):
        console.print(f"row {number}")
        for column, cell in row.items():
            console.print(f"  {column}: {cell}")
    more = f" --items {proposal.items}" if proposal.items else ""
    more += f" --covers {proposal.covers}" if proposal.covers else ""
    given = "" if path.parent == proposal.log.parent and path.name == "features.yaml" else f" --features {path}"
    console.print(f"\nread {path}, then: mmctr import log {proposal.log}{given}{more} --out DATASET")
