"""Writes item_info.parquet: row i is item i, row 0 the padding, the same bytes for the same content."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset.layout import ITEM, ITEM_EMBEDDING, MAX_TAGS, TAGS
from components.dataset.tables import vectors as list_column
from components.storage.files import atomic_path


def write_item_info(path: Path, ids: np.ndarray, tags_NT: np.ndarray, vectors_NC: np.ndarray, highest: int) -> None:
    """Ids without an item get rows of zeros, so that row i is item i."""
    tags = np.zeros((highest + 1, MAX_TAGS), dtype=np.int64)
    vectors = np.zeros((highest + 1, vectors_NC.shape[1]), dtype=np.float32)
    tags[ids], vectors[ids] = tags_NT, vectors_NC
    table = pa.table(
        {
            ITEM: pa.array(np.arange(highest + 1, dtype=np.int64)),
            TAGS: list_column(tags),
            ITEM_EMBEDDING: list_column(vectors),
        }
    )
    with atomic_path(path) as scratch:
        pq.write_table(table, scratch, compression="zstd", row_group_size=65_536)
