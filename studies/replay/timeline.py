"""The rows of all splits in the order of time, and when each item was first seen: made once for all nights.

rows.parquet   the rows, histories without padding
seen.npy       by item id: seconds since 1970 of the first row that shows the item or has it in its history
files/         the other files of the data set, as they are
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset.layout import (
    HISTORY,
    ITEM,
    LABEL,
    LEVELS_AS_OF_CLICK,
    LIKES,
    SPLITS,
    TIME,
    VIEWS,
    split_path,
)
from components.errors import StepError
from components.schema.declared import read_schema
from components.storage.files import link_or_copy

DAY = 86_400  # seconds
NEVER = np.iinfo(np.int64).max  # the first moment of an item that no row shows
ROW_GROUP = 16_384
_LEFT_BEHIND = {"truth.json", "lineage.json"}  # they speak of the whole data set

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Timeline:
    folder: Path

    def rows(self) -> pa.Table:
        return pq.read_table(self.folder / "rows.parquet")

    def first_seen(self) -> Ints:
        seen: Ints = np.load(self.folder / "seen.npy")
        return seen

    @property
    def files(self) -> Path:
        return self.folder / "files"


def make_timeline(dataset: Path, out: Path) -> None:
    """Reads `dataset`, which keeps the data contract, and refuses one that can't be replayed."""
    tables = [_read(dataset, split) for split in SPLITS]
    table = pa.concat_tables(tables, promote_options="permissive")
    table = table.take(np.argsort(table.column(TIME).to_numpy(), kind="stable"))
    if not read_schema(dataset).event:  # the lists of events' features are as long as the padded history
        table = _without_padding(table)
    metadata = dict(tables[0].schema.metadata or {})
    pq.write_table(table.replace_schema_metadata(metadata), out / "rows.parquet", row_group_size=ROW_GROUP)
    np.save(out / "seen.npy", _first_seen(table), allow_pickle=False)
    moved = {split_path(dataset, split).name for split in SPLITS} | _LEFT_BEHIND
    for path in sorted(dataset.rglob("*")):
        name = path.relative_to(dataset)
        if path.is_file() and str(name) not in moved:
            (out / "files" / name).parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(path, out / "files" / name)


def _read(dataset: Path, split: str) -> pa.Table:
    path = split_path(dataset, split)
    schema = pq.read_schema(path)
    if TIME not in schema.names:
        raise StepError(
            f"{path.name} has no column {TIME!r}, and a replay must know when each row happened: `mmctr import log` "
            "and `mmctr import movielens` write it, and `python -m components.dataset.sample --days 40` makes such rows"
        )
    if LABEL not in schema.names:
        raise StepError(f"{path.name} has no column {LABEL!r}: a replay measures on the rows of every day")
    levels = {LIKES, VIEWS} & set(schema.names)
    if (
        levels
        and not read_schema(dataset).from_file
        and not LEVELS_AS_OF_CLICK.items() <= (schema.metadata or {}).items()
    ):
        raise StepError(
            f"{path.name}: its {' and '.join(sorted(levels))} are those of the end of the data, so an early row would "
            "know what came later: count them up to each click, and say so in the file's metadata (mmctr.levels = "
            "'as of the click'), as `mmctr import movielens` does"
        )
    return pq.read_table(path)


def _without_padding(table: pa.Table) -> pa.Table:
    column = table.column(HISTORY).combine_chunks()
    if column.null_count:
        return table  # validation names the rows
    flat, row = flat_histories(column)
    real = flat != 0
    lengths = np.bincount(row[real], minlength=len(column))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat[real]))
    return table.set_column(table.column_names.index(HISTORY), HISTORY, lists)


def flat_histories(column: Any) -> tuple[Ints, Ints]:
    """(item, row) of every entry of the histories."""
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return flat, np.repeat(np.arange(len(column)), lengths)


def _first_seen(table: pa.Table) -> Ints:
    time = table.column(TIME).to_numpy().astype(np.int64)
    item = table.column(ITEM).to_numpy().astype(np.int64)
    clicked, row = flat_histories(table.column(HISTORY).combine_chunks())
    seen = np.full(int(max(item.max(initial=0), clicked.max(initial=0))) + 1, NEVER)
    np.minimum.at(seen, item, time)
    np.minimum.at(seen, clicked, time[row])
    seen[0] = NEVER
    return seen
