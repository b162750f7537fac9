"""Options that more than one command takes."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.presets import PRESETS

PresetOption = Annotated[
    str, typer.Option("--preset", "-p", help=f"The ranker and every policy around it: {', '.join(PRESETS)}.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Change one field: train.batch_size=4096. May be repeated.")
]
PolicyOption = Annotated[Path | None, typer.Option(help="The gate's policy, such as infra/policies/gate.yaml.")]
WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", "-w", help="The folder of caches, runs and the local registry.")
]
