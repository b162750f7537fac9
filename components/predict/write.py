"""Scores as a file: parquet, CSV, or the competition's submission. The same scores are the same bytes."""

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.batches.rows import RowStore
from components.dataset.layout import ITEM, USER
from components.storage.files import atomic_path

Format = Literal["parquet", "csv", "challenge"]
Scores = npt.NDArray[np.float32]
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # whenever it is written


def _write_parquet(rows: RowStore, scores: Scores, out: Path) -> None:
    schema = pa.schema({"row": pa.int64(), USER: pa.int64(), ITEM: pa.int64(), "score": pa.float32()})
    with atomic_path(out) as scratch, pq.ParquetWriter(scratch, schema, compression="zstd") as writer:
        for part in _slices(len(rows)):
            number = np.arange(part.start, part.stop)
            columns = [number, np.asarray(rows.user[part]), rows.item[part].astype(np.int64), np.asarray(scores[part])]
            writer.write_table(pa.table(columns, schema=schema))


def _write_csv(rows: RowStore, scores: Scores, out: Path) -> None:
    with atomic_path(out) as scratch, scratch.open("w") as file:
        file.write(f"row,{USER},{ITEM},score\n")
        for part in _slices(len(rows)):
            columns = (range(part.start, part.stop), rows.user[part], rows.item[part], scores[part])
            file.writelines(f"{row},{user},{item},{value!s}\n" for row, user, item, value in zip(*columns, strict=True))


def _write_challenge(rows: RowStore, scores: Scores, out: Path) -> None:
    """A zip with `prediction.csv`, the header `ID,Task2` and rows counted from 0, as the competition's page took it."""
    with atomic_path(out) as scratch, tempfile.NamedTemporaryFile("w", dir=out.parent) as file:
        file.write("ID,Task2\n")
        for part in _slices(len(rows)):
            file.writelines(
                f"{row},{value!s}\n" for row, value in zip(range(part.start, part.stop), scores[part], strict=True)
            )
        file.flush()
        with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as archive:
            entry = zipfile.ZipInfo("prediction.csv", _ZIP_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member, open(file.name, "rb") as source:
                shutil.copyfileobj(source, member)


def _slices(rows: int, length: int = 65_536) -> Iterator[slice]:
    for start in range(0, rows, length):
        yield slice(start, min(start + length, rows))


WRITERS: dict[Format, Callable[[RowStore, Scores, Path], None]] = {
    "parquet": _write_parquet,
    "csv": _write_csv,
    "challenge": _write_challenge,
}
