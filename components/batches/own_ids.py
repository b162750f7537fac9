"""Rows that name items by a team's own ids, turned into rows with the numbers of an item table."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset.footers import is_text
from components.dataset.layout import HISTORY, ITEM
from components.errors import StepError
from components.schema.encoder import UNKNOWN_ITEM, ItemIds


def in_item_numbers(table: pa.Table, ids: ItemIds, parquet: Path) -> pa.Table:
    """The same as `ItemIds.numbers` says of each value, for whole columns."""
    if ids.number is None or not table.num_rows:
        return table
    lists = table.column(HISTORY).combine_chunks()
    clicked = _numbers(lists.flatten(), ids, HISTORY, parquet)
    real = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(real)]), pa.int64())
    history = pa.LargeListArray.from_arrays(offsets, clicked, mask=lists.is_null() if lists.null_count else None)
    item = _numbers(table.column(ITEM).combine_chunks(), ids, ITEM, parquet)
    for name, column in ((HISTORY, history), (ITEM, item)):
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _numbers(values: pa.Array, ids: ItemIds, column: str, parquet: Path) -> pa.Array:
    assert ids.number is not None
    if values.null_count:
        raise StepError(f"{parquet}: column {column!r} holds {values.null_count} nulls; each must be the id of an item")
    texts = values if is_text(values.type) else values.cast(pa.string())
    place = pc.index_in(texts, value_set=pa.array(ids.number, texts.type))
    numbers = np.fromiter(ids.number.values(), np.int64, len(ids.number))
    found = np.append(numbers, UNKNOWN_ITEM)[pc.fill_null(place, len(numbers)).to_numpy(zero_copy_only=False)]
    empty = pc.equal(values, "" if is_text(values.type) else 0).to_numpy(zero_copy_only=False)
    if column == HISTORY:
        found[empty] = 0  # padding
    elif is_text(values.type) and empty.any():
        raise StepError(f"{parquet}: column {column!r} holds an empty text; each must be the id of an item")
    return pa.array(found)
