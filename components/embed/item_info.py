"""Writes item_info.parquet: row i is item i, row 0 the padding, the same bytes for the same content."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.files import atomic_path
from components.layout import ITEM, ITEM_EMBEDDING, MAX_TAGS, TAGS


def write_item_info(path: Path, ids: np.ndarray, tags_NT: np.ndarray, vectors_ND: np.ndarray, highest: int) -> None:
    """Ids without an item get zero rows: they only keep row i for item i."""
    tags = np.zeros((highest + 1, MAX_TAGS), dtype=np.int64)
    vectors = np.zeros((highest + 1, vectors_ND.shape[1]), dtype=np.float32)
    tags[ids], vectors[ids] = tags_NT, vectors_ND
    table = pa.table(
        {
            ITEM: pa.array(np.arange(highest + 1, dtype=np.int64)),
            TAGS: _lists(tags),
            ITEM_EMBEDDING: _lists(vectors),
        }
    )
    with atomic_path(path) as scratch:
        pq.write_table(table, scratch, compression="zstd", row_group_size=65_536)


def _lists(values_NW: np.ndarray) -> pa.Array:
    offsets = np.arange(len(values_NW) + 1, dtype=np.int32) * values_NW.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(values_NW).reshape(-1)))
