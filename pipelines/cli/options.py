"""Options that more than one command takes, and the check of those that exclude each other."""

from pathlib import Path
from typing import Annotated

import typer

from components.ingest.revision import resolve as find_data
from pipelines.presets import PRESETS

DataOption = Annotated[
    Path | None, typer.Option(help="A folder in the challenge's layout, instead of the versioned data.")
]
RevisionOption = Annotated[
    str | None, typer.Option(help="Commit, tag or branch whose data.dvc is used.", show_default="HEAD")
]
PresetOption = Annotated[
    str, typer.Option("--preset", "-p", help=f"The ranker and every policy around it: {', '.join(PRESETS)}.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Change one field: train.batch_size=4096. May be repeated.")
]
PolicyOption = Annotated[Path | None, typer.Option(help="The gate's policy, such as infra/policies/gate.yaml.")]
WorkspaceOption = Annotated[
    Path,
    typer.Option(
        "--workspace", "-w", help="The folder of caches, runs and, without MLFLOW_TRACKING_URI, the registry."
    ),
]


def check_data(data: Path | None, revision: str | None, workspace: Path) -> None:
    """Refuses what the first step would refuse, before anything is started or written."""
    if data is None:
        find_data(str(Path.cwd()), revision or "HEAD", workspace / "cache" / "data")
    elif revision is not None:
        raise ValueError("--data and --revision: give one of them; a folder has no revisions")
    elif not data.is_dir():
        raise ValueError(f"--data {data}: {'this is a file, not a folder' if data.exists() else 'no such folder'}")
    else:
        from components.dataset.footers import check_footers  # loads pyarrow

        check_footers(data)
