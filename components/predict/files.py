"""Refuses files that can't be scored or written. Loads no torch, so a command can ask before it starts anything."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from components.dataset.footers import ROW, FileContract, feature_columns, read_footer
from components.dataset.layout import HISTORY, ITEM, USER, split_path
from components.errors import StepError
from components.schema.encoder import FittedFeature

OWN_IDS = {USER: "an integer or a text", ITEM: "an integer or a text", HISTORY: "a list of integers or texts"}
BYTES_A_ROW = 16  # at least: a logit while scoring, once more when all are there, and a score in the output


def check_files(data: Path, split: str, out: Path) -> Path:
    """The file of rows in `data`, which is a dataset folder or that file itself."""
    parquet = split_path(data, split) if data.is_dir() else data
    _check_out(out, parquet, check_rows(parquet))
    return parquet


def check_rows(parquet: Path, features: Sequence[FittedFeature] = (), own_ids: bool = True) -> int:
    """The number of rows; refuses files and columns that can't be scored, by the footer alone. Which features there
    must be, and whether items may be named by a team's own ids, says the version that scores.
    """
    columns = {**ROW, **OWN_IDS} if own_ids else ROW
    footer = read_footer(parquet, FileContract(str(parquet), {**columns, **feature_columns(features)}))
    if footer.problems:
        raise StepError(f"--data: {'; '.join(footer.problems)}")
    return footer.rows


def _check_out(out: Path, parquet: Path, rows: int) -> None:
    """Refuses an output that can't be written, before anything is scored."""
    if out.is_dir():
        raise StepError(f"--out {out} is a folder: name the file to write, for example {out / 'scores.parquet'}")
    if out.resolve() == parquet.resolve():
        raise StepError(f"--out {out} is the file of rows itself: name another file")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            free = shutil.disk_usage(out.parent).free
    except OSError as error:
        raise StepError(f"--out {out}: nothing can be written in {out.parent} ({error.strerror})") from None
    if free < rows * BYTES_A_ROW:
        raise StepError(
            f"--out {out}: {rows:,} scores need at least {rows * BYTES_A_ROW / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB "
            "are free there: free space or name a file on another disk"
        )
