"""Which items have an id embedding of their own: those that train shows often enough, and not too long ago."""

from typing import Any

import numpy as np
import numpy.typing as npt

from components.batches.rows import RowStore
from components.errors import StepError
from components.train.config import TrainConfig

_DAY = 24 * 3600


def admitted_items(rows: RowStore, items: int, config: TrainConfig) -> npt.NDArray[np.bool_] | None:
    """By id; None if the config sets no limit. An item that is left out is known by its features and its content."""
    if not config.id_min_count and not config.id_max_age_days:
        return None
    item = np.asarray(rows.item, np.int64)
    admitted = np.bincount(item, minlength=items) >= config.id_min_count
    if config.id_max_age_days:
        admitted &= _newest(rows, item, items) >= _oldest(rows, config.id_max_age_days)
    admitted[0] = True  # the padding, whose embedding is zero anyway
    return np.asarray(admitted)


def _newest(rows: RowStore, item: npt.NDArray[np.int64], items: int) -> npt.NDArray[Any]:
    """When each item was shown last; an item that was never shown is older than all."""
    if rows.time is None:
        raise StepError(
            "train.id_max_age_days needs to know when rows happened, and train.parquet has no column 'time'"
        )
    newest = np.full(items, np.iinfo(np.int64).min)
    np.maximum.at(newest, item, np.asarray(rows.time, np.int64))
    return newest


def _oldest(rows: RowStore, days: float) -> int:
    return int(np.asarray(rows.time).max() - days * _DAY)
