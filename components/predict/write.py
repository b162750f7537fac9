"""Scores as a file: parquet, CSV, or the competition's submission. The same scores are the same bytes.

Users and items stand as the scored rows name them, so they are read from there and not from the converted rows.
`known_item` is false where the version has never seen the item. `item_table` holds the first characters of the hash of
the item table that was used. Sort by `logit`: probabilities close to 1 are equal where their logits are not.
"""

import csv
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.batches.convert import ROWS_A_READ
from components.batches.scoring import probabilities
from components.dataset.layout import ITEM, USER
from components.predict.config import Format
from components.storage.files import atomic_path

NAMED = 16  # characters of its hash name an item table
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # whenever it is written


@dataclass(frozen=True)
class Scored:
    """The rows of a parquet file, their logits, whether the version knows their items, and which table it used."""

    rows: Path
    logits: npt.NDArray[np.float32]
    known: npt.NDArray[np.bool_]
    item_table: str

    def tables(self) -> Iterator[pa.Table]:
        """What is written of the rows, a part of the file at a time."""
        start = 0
        with pq.ParquetFile(self.rows) as file:
            for batch in file.iter_batches(ROWS_A_READ, columns=[USER, ITEM], use_threads=False):
                part = slice(start, start := start + batch.num_rows)
                logits = np.asarray(self.logits[part])
                columns = {
                    "row": np.arange(part.start, part.stop),
                    USER: batch.column(USER),
                    ITEM: batch.column(ITEM),
                    "score": probabilities(logits),
                    "logit": logits,
                    "known_item": self.known[part],
                    "item_table": pa.repeat(self.item_table, batch.num_rows),
                }
                yield pa.table(columns)


def _write_parquet(scored: Scored, out: Path) -> None:
    with pq.ParquetFile(scored.rows) as file:
        own = file.schema_arrow
    schema = pa.schema(
        {
            "row": pa.int64(),
            USER: own.field(USER).type,
            ITEM: own.field(ITEM).type,
            "score": pa.float64(),
            "logit": pa.float32(),
            "known_item": pa.bool_(),
            "item_table": pa.string(),
        }
    )
    with atomic_path(out) as scratch, pq.ParquetWriter(scratch, schema, compression="zstd") as writer:
        for table in scored.tables():
            writer.write_table(table)


def _write_csv(scored: Scored, out: Path) -> None:
    with atomic_path(out) as scratch, scratch.open("w") as file:
        write = csv.writer(file, lineterminator="\n").writerows
        write([("row", USER, ITEM, "score", "logit", "known_item", "item_table")])
        for table in scored.tables():
            row, user, item, score, _, known, _ = (column.to_pylist() for column in table.columns)
            logit = table["logit"].to_numpy()
            lines = zip(row, user, item, score, logit, known, strict=True)
            write((r, u, i, str(s), str(g), str(k).lower(), scored.item_table) for r, u, i, s, g, k in lines)


def _write_challenge(scored: Scored, out: Path) -> None:
    """A zip with `prediction.csv`, the header `ID,Task2` and rows counted from 0, as the competition's page took it."""
    with atomic_path(out) as scratch, tempfile.NamedTemporaryFile("w", dir=out.parent) as file:
        file.write("ID,Task2\n")
        for table in scored.tables():
            lines = zip(table["row"].to_pylist(), table["score"].to_pylist(), strict=True)
            file.writelines(f"{row},{value!s}\n" for row, value in lines)
        file.flush()
        with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as archive:
            entry = zipfile.ZipInfo("prediction.csv", _ZIP_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member, open(file.name, "rb") as source:
                shutil.copyfileobj(source, member)


WRITERS: dict[Format, Callable[[Scored, Path], None]] = {
    "parquet": _write_parquet,
    "csv": _write_csv,
    "challenge": _write_challenge,
}
