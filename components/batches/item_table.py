"""The item table of a training: tags and frozen content from the embeddings, levels from the raw item features."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.batches.rows import RowStore
from components.dataset.layout import ITEM, ITEM_EMBEDDING, LEVELS, LIKES, TAGS, VIEWS, item_feature_path
from components.errors import StepError
from model.checks import all_finite
from model.config import Vocabulary
from model.items import ItemTable

Array = npt.NDArray[Any]


def load_item_table(item_info: Path, dataset: Path) -> tuple[ItemTable, Vocabulary]:
    """The table with every item marked as seen in train; `train` itself marks those of its own rows."""
    arrays = item_arrays(item_info, dataset)
    return table_from(arrays), vocabulary_of(arrays)


def item_arrays(item_info: Path, dataset: Path) -> dict[str, Array]:
    """tags [N, T], content [N, C], likes [N] and views [N]; row 0 is the padding item, row i is item i."""
    if not item_info.is_file():
        raise StepError(f"{item_info} is missing: the embedding step writes it")
    table = pq.read_table(item_info)
    ids = table.column(ITEM).to_numpy()
    if not np.array_equal(ids, np.arange(len(ids))):
        raise StepError(f"{item_info}: row i must be item i, from the padding row 0 on; run the embedding step again")
    tags = _matrix(table.column(TAGS), item_info, TAGS).astype(np.int64, copy=False)
    content = _matrix(table.column(ITEM_EMBEDDING), item_info, ITEM_EMBEDDING).astype(np.float32, copy=False)
    if not all_finite(content):
        raise StepError(f"{item_info}: column {ITEM_EMBEDDING!r} holds values that are not finite")
    likes, views = _levels(item_feature_path(dataset), len(ids))
    return {"tags": tags, "content": content, "likes": likes, "views": views}


def table_from(arrays: dict[str, Array]) -> ItemTable:
    return ItemTable.from_arrays(
        arrays["tags"], arrays["content"], arrays["likes"], arrays["views"], arrays.get("seen")
    )


def seen_items(rows: RowStore, items: int) -> Array:
    """Which items the rows hold, as a target or in a history. The padding item does not count."""
    seen = np.zeros(items, dtype=bool)
    seen[rows.item] = True
    seen[rows.history_flat] = True
    seen[0] = False
    return seen


def vocabulary_of(arrays: dict[str, Array]) -> Vocabulary:
    return Vocabulary(
        items=len(arrays["tags"]),
        tags=max(2, int(arrays["tags"].max(initial=0)) + 1),
        levels=LEVELS,
        content=arrays["content"].shape[1],
    )


def _levels(item_feature: Path, items: int) -> tuple[Array, Array]:
    """Zero where nothing is known of an item: 0 is the padding level."""
    levels = np.zeros((2, items), dtype=np.int64)
    if not item_feature.is_file():
        return levels[0], levels[1]
    names = pq.read_schema(item_feature).names
    present = [(row, name) for row, name in enumerate((LIKES, VIEWS)) if name in names]
    table = pq.read_table(item_feature, columns=[ITEM, *(name for _, name in present)])
    ids = table.column(ITEM).to_numpy()
    known = (ids >= 0) & (ids < items)
    for row, name in present:
        values = np.nan_to_num(table.column(name).to_numpy())[known].astype(np.int64)
        if len(values) and not (values.min() >= 0 and values.max() < LEVELS):
            raise StepError(
                f"{item_feature}: column {name!r} runs from {values.min()} to {values.max()}, allowed is 0 to 10"
            )
        levels[row, ids[known]] = values
    levels[:, 0] = 0
    return levels[0], levels[1]


def _matrix(column: pa.ChunkedArray, path: Path, name: str) -> Array:
    lists = column.combine_chunks()
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    if len(lists) == 0 or len(flat) % len(lists) or lists.null_count:
        raise StepError(f"{path}: the lists in column {name!r} must all have the same length")
    return np.asarray(flat).reshape(len(lists), -1)
