"""The data contract as Parquet: rows and items from arrays."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.dataset.layout import HISTORY, ITEM, LABEL, LIKES, TAGS, TIME, TITLE, USER, VIEWS

Ints = npt.NDArray[np.int64]


def rows_schema(labelled: bool = True, timed: bool = False) -> pa.Schema:
    fields = [(USER, pa.int64()), (ITEM, pa.int64()), (HISTORY, pa.list_(pa.int64()))]
    fields += [(LIKES, pa.int64()), (VIEWS, pa.int64())] + ([(LABEL, pa.int64())] if labelled else [])
    fields += [(TIME, pa.int64())] if timed else []
    return pa.schema(fields)


def rows_table(
    user: Ints, item: Ints, history: Ints, likes: Ints, views: Ints, label: Ints | None, time: Ints | None = None
) -> pa.Table:
    """`history` is [rows, width], padded with 0 on the left; the levels are those of each row's item."""
    columns = [user, item, vectors(history), likes, views, *(c for c in (label, time) if c is not None)]
    return pa.table(columns, schema=rows_schema(label is not None, time is not None))


def items_table(item: Ints, titles: list[str], tags: list[list[int]], likes: Ints, views: Ints) -> pa.Table:
    return pa.table(
        {
            ITEM: pa.array(item),
            TITLE: pa.array(titles, pa.string()),
            TAGS: pa.array(tags, pa.list_(pa.int64())),
            LIKES: pa.array(likes),
            VIEWS: pa.array(views),
        }
    )


def vectors(values: npt.NDArray[Any]) -> pa.Array:
    """A matrix as a column of lists, without a Python object for each number."""
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.reshape(-1)))


def deciles(values: npt.NDArray[Any]) -> Ints:
    """Levels 1 to 10 by rank; equal values share the lowest level that any of them has."""
    ranks = np.searchsorted(np.sort(values), values, side="left")
    return 1 + ranks.astype(np.int64) * 10 // max(len(values), 1)
