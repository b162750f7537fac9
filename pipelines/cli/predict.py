"""`mmctr predict`: scores for every row of a split."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import WorkspaceOption


def predict(
    data: Annotated[Path, typer.Option(help="A folder in the challenge's layout, or one parquet file of rows.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    split: Annotated[str, typer.Option(help="Which rows of a folder: train, valid or test.")] = "test",
    alias: Annotated[str, typer.Option(help="Which version: champion, challenger or previous_champion.")] = "champion",
    file_format: Annotated[
        str, typer.Option("--format", help="parquet, csv, or challenge: the competition's submission zip.")
    ] = "parquet",
    batch_size: Annotated[int, typer.Option(help="Rows scored at once.")] = 4096,
    name: Annotated[str, typer.Option("--name", help="The registered model.")] = "mmctr",
    workspace: WorkspaceOption = Path(".mmctr"),
) -> None:
    """Score every row with a registered version. Killed, it goes on where it stopped and writes the same bytes.

    Examples: `mmctr predict --data data --out scores.parquet` ·
    `mmctr predict --data data --out submission.zip --format challenge`
    """
    from rich.console import Console

    from components.predict.config import PredictConfig
    from components.predict.files import check_files
    from components.tracking.models import Models
    from components.tracking.server import connect, existing_registry
    from pipelines.workspace import temporary_files_in, usable

    config = PredictConfig(split, alias, file_format, batch_size)  # type: ignore[arg-type] # checks it itself
    if not data.exists():
        raise ValueError(f"--data {data}: no such file or folder")
    if workspace.exists():
        usable(workspace)
    registry = existing_registry(workspace)
    check_files(data, split, out)
    models = Models(connect(registry), name)
    from components.predict.batch import predict as run  # loads torch: after the server has answered

    folder = usable(workspace)
    with temporary_files_in(folder):
        made = run(data, out, models, folder, config)
    resumed = f" ({made.resumed_at:,} of them by a run that was stopped)" if made.resumed_at else ""
    unknown = f" {made.unknown:,} rows name items that the version has never seen." if made.unknown else ""
    Console(highlight=False).print(
        f"{made.out}: {made.rows:,} rows scored by {name} version {made.version} with the item table "
        f"{made.item_table[:16]}{resumed}.{unknown}"
    )
