"""The items of a dataset as the encoders will see them: one entry for each id, and all problems counted by cause."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset.images import ImageFolder
from components.dataset.layout import (
    HISTORY,
    IMAGE_EMBEDDING,
    ITEM,
    MAX_TAGS,
    TAGS,
    TEXT_EMBEDDING,
    TITLE,
    item_feature_path,
    split_path,
)
from components.embed.config import EmbedConfig
from components.embed.registry import Modality
from components.errors import StepError

HIGHEST_ID = 50_000_000  # item_info has a row for each id up to the highest: a stray one must not cost terabytes
PRECOMPUTED: dict[Modality, str] = {"text": TEXT_EMBEDDING, "image": IMAGE_EMBEDDING}


@dataclass
class Items:
    """Items in order of id. `bad` holds, for "text" or "item", the id and the cause of each that cannot be used."""

    ids: list[int]
    texts: list[str]  # "" where there is none, which `bad["text"]` explains
    titles: list[str]  # to show, not to encode
    tags: list[list[int]]
    columns: dict[Modality, pa.ChunkedArray]  # vectors that came with the data
    images: ImageFolder
    tag_names: list[str]  # tag i + 1; empty where tags are numbers already
    bad: dict[str, dict[int, str]] = field(default_factory=lambda: {"text": {}, "item": {}})
    notes: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, shard: int, shards: int) -> slice:
        """The positions of one shard: neighbours in id order, so that neighbours in tar files are read together."""
        return slice(len(self) * shard // shards, len(self) * (shard + 1) // shards)


def read_items(dataset: Path, config: EmbedConfig) -> Items:
    bad: dict[int, str] = {}
    table = _first_of_each_id(_read_features(dataset), bad)
    columns = {
        modality: table.column(name)
        for modality, name in PRECOMPUTED.items()
        if config.use_precomputed and name in table.column_names
    }
    tags, tag_names, notes = _tags(table)
    shown = next((name for name in (TITLE, *config.text_columns) if name in table.column_names), None)
    titles = [title or "" for title in table.column(shown).to_pylist()] if shown else [""] * table.num_rows
    ids = table.column(ITEM).to_pylist()
    items = Items(ids, [], titles, tags, columns, ImageFolder(dataset), tag_names, notes=notes)
    items.bad["item"] = bad
    if "text" not in columns and config.text_encoder != "none":
        _read_texts(items, table, config.text_columns)
    return items


def _read_features(dataset: Path) -> pa.Table:
    path = item_feature_path(dataset)
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise StepError(f"{path} is missing: it lists the items to embed") from None
    except pa.ArrowInvalid as error:
        raise StepError(f"{path} is not a readable parquet file ({error}): fetch it again") from None
    if ITEM not in table.column_names:
        raise StepError(f"{path} has no column {ITEM}; it has {', '.join(table.column_names)}")
    if table.num_rows == 0:
        raise StepError(f"{path} lists no items")
    return table


def _first_of_each_id(table: pa.Table, bad: dict[int, str]) -> pa.Table:
    """In order of id, the padding row left out. A second row for an id is an error unless it says the same."""
    column = table.column(ITEM)
    if column.null_count:
        raise StepError(f"item_feature.parquet has {column.null_count} rows without an {ITEM}: remove them")
    ids = column.cast(pa.int64()).to_numpy()
    if ids.min() < 0:
        raise StepError(f"item_feature.parquet has the id {ids.min()}: ids start at 1, and 0 is padding")
    _refuse_stray(int(ids.max()), "item_feature.parquet")
    order = np.argsort(ids, kind="stable")
    order = order[ids[order] != 0]
    first = np.ones(len(order), dtype=bool)
    first[1:] = ids[order][1:] != ids[order][:-1]
    repeated = np.unique(ids[order][~first])
    chosen = order[first]
    kept = table if np.array_equal(chosen, np.arange(len(ids))) else table.take(pa.array(chosen))
    if len(repeated):
        again = {int(ids[row]): table.slice(int(row), 1).to_pylist()[0] for row in order[~first]}
        rows = dict(zip(kept.column(ITEM).to_pylist(), range(kept.num_rows), strict=True))
        bad.update(
            {item: "duplicate id" for item, row in again.items() if kept.slice(rows[item], 1).to_pylist()[0] != row}
        )
    return kept


def _tags(table: pa.Table) -> tuple[list[list[int]], list[str], Counter[str]]:
    """Tags as whole numbers from 1, padded with 0 on the left; names become numbers in alphabetical order."""
    notes: Counter[str] = Counter()
    if TAGS not in table.column_names:
        return [[0] * MAX_TAGS for _ in range(table.num_rows)], [], notes
    lists = [value or [] for value in table.column(TAGS).to_pylist()]
    names = sorted({tag for tags in lists for tag in tags if isinstance(tag, str)})
    number: dict[Any, int] = {name: i + 1 for i, name in enumerate(names)}
    padded = []
    for tags in lists:
        # 0 is padding already; the public files pad on the left themselves.
        numbers = [number[tag] if isinstance(tag, str) else int(tag) for tag in tags if tag not in (None, 0)]
        notes["tags: more than five, first five kept"] += len(numbers) > MAX_TAGS
        padded.append([0] * (MAX_TAGS - len(numbers)) + numbers[:MAX_TAGS])
    return padded, names, +notes


def _read_texts(items: Items, table: pa.Table, columns: tuple[str, ...]) -> None:
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise StepError(
            f"item_feature.parquet has no column {missing[0]} to read texts from (embed.text_columns); it has "
            f"{', '.join(table.column_names)}. Name another one, or set embed.text_encoder=none"
        )
    parts = [table.column(name).to_pylist() for name in columns]
    for item, values in zip(items.ids, zip(*parts, strict=True), strict=True):
        text = " ".join(" ".join(str(value) for value in values if value is not None).split())
        items.texts.append(text)
        if not text:
            items.bad["text"][item] = "null" if all(value is None for value in values) else "empty"


def ids_in_split(dataset: Path, split: str) -> np.ndarray:
    """Every id that a row or a history of the split names, sorted; empty if there is no such file."""
    seen = np.zeros(1, dtype=bool)
    path = split_path(dataset, split)
    if path.exists():
        for ids in _id_batches(path):
            if len(ids) and ids.max() >= len(seen):
                _refuse_stray(int(ids.max()), path.name)
                seen = np.pad(seen, (0, int(ids.max()) + 1 - len(seen)))
            seen[ids[ids > 0]] = True
    return np.flatnonzero(seen)


def _refuse_stray(item: int, file: str) -> None:
    if item > HIGHEST_ID:
        raise StepError(
            f"{file} has the id {item}: item_info holds a row for each id up to the highest, so ids must be dense, at "
            f"most {HIGHEST_ID}. Renumber the items from 1"
        )


def _id_batches(path: Path) -> Iterator[np.ndarray]:
    with pq.ParquetFile(path) as file:
        names = [name for name in (ITEM, HISTORY) if name in file.schema_arrow.names]
        for batch in file.iter_batches(batch_size=65_536, columns=names):
            for column in batch.columns:
                nested = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
                values = column.flatten() if nested else column
                yield values.drop_null().to_numpy(zero_copy_only=False)
