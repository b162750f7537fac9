"""Datasets of a few rows that a test writes out by hand, read as the validate step reads them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset import layout
from components.schema.declared import CHALLENGE_SCHEMA
from components.validate.catalogue import Catalogue, read_items
from components.validate.contract import open_dataset
from components.validate.measured import Flagged, Measured
from components.validate.parquet import ContractFile
from components.validate.rows import SplitRows, read_split


@dataclass(frozen=True)
class Row:
    user: int
    item: int
    history: tuple[int | None, ...] = ()
    label: int = 0
    likes: int = 1
    views: int = 1
    time: int | None = None  # rows have times if the first one has


@dataclass(frozen=True)
class Read:
    sources: dict[str, ContractFile]
    splits: dict[str, SplitRows]
    catalogue: Catalogue


def read(
    folder: Path, tags: dict[int, list[int]], unlabelled: tuple[str, ...] = (), extra: Any = None, **splits: list[Row]
) -> Read:
    """`tags` of each item that there is; `extra` are more columns of train."""
    items = {
        layout.ITEM: pa.array(list(tags), pa.int64()),
        layout.TITLE: [f"item {item}" for item in tags],
        layout.TAGS: pa.array(list(tags.values()), pa.list_(pa.int64())),
        layout.LIKES: [1] * len(tags),
        layout.VIEWS: [1] * len(tags),
    }
    pq.write_table(pa.table(items), folder / "item_feature.parquet")
    for name, rows in splits.items():
        columns = {
            layout.USER: pa.array([row.user for row in rows], pa.int64()),
            layout.ITEM: pa.array([row.item for row in rows], pa.int64()),
            layout.HISTORY: pa.array([list(row.history) for row in rows], pa.list_(pa.int64())),
            layout.LIKES: pa.array([row.likes for row in rows], pa.int64()),
            layout.VIEWS: pa.array([row.views for row in rows], pa.int64()),
        }
        if rows and rows[0].time is not None:
            columns[layout.TIME] = pa.array([row.time for row in rows], pa.int64())
        if name not in unlabelled:
            columns[layout.LABEL] = pa.array([row.label for row in rows], pa.int64())
        if name == "train":
            columns |= extra or {}
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    sources = open_dataset(folder)
    catalogue = read_items(sources["item_feature"], CHALLENGE_SCHEMA, max(tags, default=0), Measured())
    read_splits = {
        name: read_split(sources[name], CHALLENGE_SCHEMA, catalogue, Flagged(frozenset()), Measured(), examples=5)
        for name in splits
    }
    return Read(sources, read_splits, catalogue)


def lines_of(measured: Measured, table: str) -> dict[str, dict[str, Any]]:
    """The lines of a table by the column that names them; what a line does not say is left out."""
    return {
        str(line[measured.keys[table]]): {key: value for key, value in line.items() if value == value}
        for line in measured.tables[table].to_dict("records")
    }
