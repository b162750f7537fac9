"""The data as they were known on one night, in the form of the data contract, and the next day's rows beside them.

    dataset/           train, valid, test, item_feature and the data set's other files: what the pipeline would get
    tomorrow.parquet   the rows of the day after the night, which nothing but the scoring may read

The newest stretch of time is test, on which the gate measures; the one before is valid; all before that is train. An
item is in the catalogue from the first row on that shows it. Its levels are those of its last row before the night,
because the levels of item_feature are counted at the end of the data.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset.layout import ITEM, LIKES, TIME, VIEWS, item_feature_path, split_path
from components.errors import StepError
from components.storage.files import link_or_copy
from model.checks import at_least
from studies.replay.timeline import DAY, ROW_GROUP, Ints, Timeline

FIRST_STRETCHES = 3  # before the first night: one for train, one for valid, one for test
_NEVER_CLICKED = 1  # the lowest level


@dataclass(frozen=True)
class NightPlan:
    """Which nights are replayed. A night stands for `every` days: it trains after them, and serves the next ones."""

    nights: int = 30
    every: int = 1  # days
    window: int = 0  # days of train that a night learns from, the newest; 0: all

    def __post_init__(self) -> None:
        at_least("--nights", self.nights, 1)
        at_least("--every", self.every, 1)
        at_least("--window", self.window, 0)

    @property
    def stretch(self) -> int:
        return self.every * DAY

    def cutoffs(self, time: Ints) -> list[int]:
        """The moments of the nights, in seconds since 1970: midnights, so that the last day is the data's last."""
        first, end = int(time.min()) // DAY * DAY, int(time.max()) // DAY * DAY + DAY
        cutoffs = [end - (self.nights - night) * self.stretch for night in range(self.nights)]
        possible = (end - first) // self.stretch - FIRST_STRETCHES
        if self.nights > possible:
            reach = f"the data reach over {_days((end - first) // DAY)}"
            needs = f"the first night needs {FIRST_STRETCHES} times {_days(self.every)} before it"
            if possible < 1:
                raise StepError(
                    f"{reach}: too few for a single night, because {needs}; lower --every or bring more days"
                )
            raise StepError(
                f"--nights {self.nights} of {_days(self.every)}: {reach}, and {needs}; at most {possible} fit"
            )
        return cutoffs


def make_night(timeline: Timeline, cutoff: int, plan: NightPlan, out: Path) -> None:
    rows, seen = timeline.rows(), timeline.first_seen()
    time = rows.column(TIME).to_numpy()
    dataset = out / "dataset"
    dataset.mkdir()
    stretch = plan.stretch
    starts = {"train": cutoff - 2 * stretch - plan.window * DAY if plan.window else int(time[0])}
    starts |= {"valid": cutoff - 2 * stretch, "test": cutoff - stretch}
    ends = {"train": starts["valid"], "valid": starts["test"], "test": cutoff}
    for split, start in starts.items():
        _write(_between(rows, time, start, ends[split]), split_path(dataset, split))
    _write(_between(rows, time, cutoff, cutoff + stretch), out / "tomorrow.parquet")
    for path in sorted(timeline.files.rglob("*")):
        name = path.relative_to(timeline.files)
        if path.is_file() and path.name != item_feature_path(dataset).name:
            (dataset / name).parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(path, dataset / name)
    known = _between(rows, time, int(time[0]), cutoff)
    items = pq.read_table(item_feature_path(timeline.files))
    pq.write_table(known_items(items, seen, known, cutoff), item_feature_path(dataset))


def known_items(items: pa.Table, seen: Ints, rows: pa.Table, cutoff: int) -> pa.Table:
    """The catalogue of the night. `rows` are all that were known, in the order of time."""
    ids = items.column(ITEM).to_numpy().astype(np.int64)
    inside = (ids > 0) & (ids < len(seen))
    there = inside & (seen[np.where(inside, ids, 0)] < cutoff)
    items = items.filter(pa.array(there))
    ids = ids[there]
    for level in (LIKES, VIEWS):
        if level in items.column_names and level in rows.column_names:
            last = np.full(len(seen), _NEVER_CLICKED)
            # Of several rows of one item, numpy keeps the last.
            last[rows.column(ITEM).to_numpy()] = rows.column(level).to_numpy()
            items = items.set_column(items.column_names.index(level), level, pa.array(last[ids]))
    return items


def date_of(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"


def _between(rows: pa.Table, time: Ints, start: int, end: int) -> pa.Table:
    first, last = np.searchsorted(time, [start, end], side="left")
    return rows.slice(int(first), int(last - first))


def _write(rows: pa.Table, path: Path) -> None:
    pq.write_table(rows, path, row_group_size=ROW_GROUP)


def _days(count: int) -> str:
    return f"{count} day{'s' if count > 1 else ''}"
