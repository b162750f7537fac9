"""One answered request, and the rows of the log that are made of it: one for each candidate.

A feature's column is named `feature_` and its name. It holds the raw value, so that it can be encoded again as any
version does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.schema.encoder import Column, FittedFeature

DAY = "day="  # how a folder of the log begins; the day, in UTC, of the first request of each file in it
FEATURE = "feature_"
RATE = b"mmctr.log.rate"  # metadata of a file: the share of users, or of requests without one, that are logged
BASE = pa.schema(
    [
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("route", pa.string(), nullable=False),
        pa.field("user", pa.string()),  # a keyed hash; null where the request named no user
        pa.field("arm", pa.int32(), nullable=False),  # the version that was to answer
        pa.field("version", pa.int32(), nullable=False),  # the version that answered: another one if the arm failed
        pa.field("item_table", pa.string(), nullable=False),
        pa.field("shadow", pa.int32()),  # the version that scored the same request after the answer was sent
        pa.field("position", pa.int32(), nullable=False),  # in the request
        pa.field("item_id", pa.int64(), nullable=False),  # the number in the version's item table
        pa.field("own_item_id", pa.string()),  # as the request named it; null where requests name items by numbers
        pa.field("known", pa.bool_(), nullable=False),
        pa.field("logit", pa.float32(), nullable=False),
        pa.field("shadow_logit", pa.float32()),
        pa.field("history_length", pa.int32(), nullable=False),
        pa.field("history_unknown", pa.int32(), nullable=False),  # clicks on items that the version does not know
    ]
)
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Entry:
    request_id: str
    at: datetime
    route: str
    user: str | None
    arm: int
    version: int
    item_table: str
    item: Whole
    known: npt.NDArray[np.bool_]
    logit: npt.NDArray[np.float32]
    histories: Sequence[Whole]  # one for all rows, or one a row
    knows: Callable[[Whole], npt.NDArray[np.bool_]]  # which items the version knows
    features: Sequence[FittedFeature]
    columns: Mapping[str, Column]  # a raw value for each row, by feature
    own_item: Sequence[str] | None = None  # the own ids of the items; None where requests name them by numbers
    shadow: int | None = None
    shadow_logit: npt.NDArray[np.float32] | None = None


def rows_of(entry: Entry) -> pa.Table:
    rows = len(entry.item)
    lengths, unknown = zip(*(_history(entry, history) for history in entry.histories), strict=True)
    times = rows if len(entry.histories) == 1 else 1
    columns = {
        "position": np.arange(rows, dtype=np.int32),
        "item_id": entry.item,
        "own_item_id": [None] * rows if entry.own_item is None else entry.own_item,
        "known": entry.known,
        "logit": entry.logit,
        "shadow_logit": np.full(rows, np.nan, np.float32) if entry.shadow_logit is None else entry.shadow_logit,
        "history_length": np.repeat(lengths, times),
        "history_unknown": np.repeat(unknown, times),
    }
    table = {
        field.name: pa.array(columns[field.name], field.type, from_pandas=True)
        if field.name in columns
        else pa.repeat(pa.scalar(getattr(entry, field.name), field.type), rows)
        for field in BASE
    }
    logged = {FEATURE + feature.name: _logged(feature, entry.columns[feature.name]) for feature in entry.features}
    schema = pa.schema([*BASE, *((name, column.type) for name, column in logged.items())])
    return pa.table({**table, **logged}, schema=schema)


def _history(entry: Entry, history: Whole) -> tuple[int, int]:
    """Its clicks, and how many of them are on unknown items."""
    clicks = np.asarray(history)[np.asarray(history) != 0]
    return len(clicks), int((~entry.knows(clicks)).sum())


def _logged(feature: FittedFeature, values: Column) -> pa.Array:
    if feature.kind == "number":
        return pa.array(feature.as_numbers(values), pa.float64(), from_pandas=True)  # NaN becomes null
    if feature.kind == "vector":
        return pa.array([None if value is None else list(value) for value in values], pa.list_(pa.float64()))
    if feature.levels:
        return pa.array([int(value) for value in values], pa.int64())
    if feature.kind == "category":
        return pa.array([key or None for key in feature.keys(values)], pa.string())
    return pa.array([[key for key in feature.keys([several]) if key] for several in values], pa.list_(pa.string()))
