"""A night holds what was known then: nothing that comes later changes a byte of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.dataset.layout import LEVELS_AS_OF_CLICK, SPLITS, item_feature_path, split_path
from components.dataset.tables import items_table, rows_table
from components.errors import StepError
from components.storage.files import sha256_file
from studies.replay.hindsight import check_hindsight, measure_hindsight
from studies.replay.night import NightPlan, make_night
from studies.replay.timeline import DAY, Timeline, make_timeline

DAYS, ITEMS, ROWS_A_DAY = 10, 80, 60
FIRST_DAY = 20_000  # since 1970
Change = Callable[[pa.Table], pa.Table]


def rows(seed: int = 1) -> pa.Table:
    """Rows of ten days; items from 31 on are first shown on day 5, and levels count the clicks of earlier rows."""
    rng = np.random.default_rng(seed)
    n = DAYS * ROWS_A_DAY
    time = np.sort(rng.integers(FIRST_DAY * DAY, (FIRST_DAY + DAYS) * DAY, n))
    late = (time // DAY - FIRST_DAY) >= 5
    item = np.where(late, rng.integers(1, ITEMS + 1, n), rng.integers(1, 31, n))
    history = np.zeros((n, 100), dtype=np.int64)
    history[:, -2:] = rng.integers(1, 31, (n, 2))
    label = (rng.random(n) < 0.3 * item / ITEMS + 0.1).astype(np.int64)
    clicks, levels = np.zeros(ITEMS + 1, dtype=np.int64), np.zeros(n, dtype=np.int64)
    for row in range(n):
        levels[row] = min(10, 1 + clicks[item[row]] // 2)
        clicks[item[row]] += label[row]
    return rows_table(np.arange(1, n + 1), item, history, levels, levels, label, time)


def write(folder: Path, table: pa.Table, as_of_click: bool = True) -> Path:
    folder.mkdir()
    metadata = LEVELS_AS_OF_CLICK if as_of_click else None
    bounds = [0, round(0.8 * len(table)), round(0.9 * len(table)), len(table)]
    for split, first, last in zip(SPLITS, bounds, bounds[1:], strict=False):
        part = table.slice(first, last - first).replace_schema_metadata(metadata)
        pq.write_table(part, split_path(folder, split))
    ids = np.arange(1, ITEMS + 1)
    titles, tags = [f"item {k}" for k in ids], [[1] for _ in ids]
    pq.write_table(items_table(ids, titles, tags, ids % 11, ids % 11), item_feature_path(folder))
    (folder / "truth.json").write_text("{}")
    return folder


def timeline_of(folder: Path, table: pa.Table) -> Timeline:
    out = folder / "timeline"
    folder.mkdir()
    out.mkdir()
    make_timeline(write(folder / "data", table), out)
    return Timeline(out)


def night_of(timeline: Timeline, day: int, out: Path, window: int = 0) -> Path:
    out.mkdir(parents=True)
    make_night(timeline, (FIRST_DAY + day) * DAY, NightPlan(1, 1, window), out)
    return out


def digests(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def _shuffled_future(table: pa.Table, day: int) -> pa.Table:
    """From the day after `day` on, other items are clicked by others."""
    time = table.column("time").to_numpy()
    later = np.flatnonzero(time >= (FIRST_DAY + day + 1) * DAY)
    order = np.arange(len(table))
    order[later] = np.random.default_rng(2).permutation(later)
    mixed = table.take(order)
    return mixed.set_column(mixed.column_names.index("time"), "time", table.column("time"))


@pytest.mark.parametrize("change", ["removed", "shuffled"])
def test_what_comes_later_changes_no_byte_of_a_night(tmp_path: Path, change: str) -> None:
    table, day = rows(), 6
    time = table.column("time").to_numpy()
    if change == "removed":
        other = table.slice(0, int(np.searchsorted(time, (FIRST_DAY + day + 1) * DAY)))
    else:
        other = _shuffled_future(table, day)
    one = night_of(timeline_of(tmp_path / "whole", table), day, tmp_path / "one")
    two = night_of(timeline_of(tmp_path / "other", other), day, tmp_path / "two")
    assert digests(one) == digests(two)


def test_splits_are_the_newest_days_and_tomorrow_stays_out_of_the_data_set(tmp_path: Path) -> None:
    night = night_of(timeline_of(tmp_path / "data", rows()), 6, tmp_path / "night")
    found = {path.stem: pq.read_table(path) for path in night.rglob("*.parquet")}
    spans = {name: found[name].column("time").to_numpy() // DAY - FIRST_DAY for name in (*SPLITS, "tomorrow")}
    assert {name: (int(days.min()), int(days.max())) for name, days in spans.items()} == {
        "train": (0, 3),
        "valid": (4, 4),
        "test": (5, 5),
        "tomorrow": (6, 6),
    }
    assert not (night / "dataset" / "tomorrow.parquet").exists()
    assert not (night / "dataset" / "truth.json").exists()
    assert LEVELS_AS_OF_CLICK.items() <= found["train"].schema.metadata.items()


def test_a_window_leaves_the_oldest_days_out_of_train(tmp_path: Path) -> None:
    night = night_of(timeline_of(tmp_path / "data", rows()), 6, tmp_path / "night", window=2)
    days = pq.read_table(night / "dataset" / "train.parquet").column("time").to_numpy() // DAY - FIRST_DAY
    assert (int(days.min()), int(days.max())) == (2, 3)


def test_the_catalogue_holds_known_items_with_the_levels_of_their_last_row(tmp_path: Path) -> None:
    table = rows()
    early = night_of(timeline_of(tmp_path / "data", table), 5, tmp_path / "early")
    items = pq.read_table(item_feature_path(early / "dataset")).to_pandas().set_index("item_id")
    assert items.index.max() <= 30, "items from 31 on are shown from day 5 on"
    before = table.to_pandas()
    before = before[before.time < (FIRST_DAY + 5) * DAY]
    last = before.groupby("item_id").views_level.last()
    assert items.views_level.to_dict() == last.reindex(items.index).fillna(1).astype(int).to_dict()


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (NightPlan(8), "--nights 8 of 1 day: the data reach over 10 days, and the first night needs 3 times 1 day"),
        (NightPlan(1, every=4), "the data reach over 10 days: too few for a single night, because the first night"),
    ],
)
def test_more_nights_than_days_are_refused(plan: NightPlan, message: str) -> None:
    time = rows().column("time").to_numpy()
    with pytest.raises(StepError) as error:
        plan.cutoffs(time)
    assert message in str(error.value)


def test_the_last_night_is_the_eve_of_the_last_day() -> None:
    time = rows().column("time").to_numpy()
    cutoffs = NightPlan(3).cutoffs(time)
    assert [cutoff // DAY - FIRST_DAY for cutoff in cutoffs] == [7, 8, 9]
    assert all(cutoff % DAY == 0 for cutoff in cutoffs)


@pytest.mark.parametrize(
    ("drop", "as_of_click", "message"),
    [
        ("time", True, "train.parquet has no column 'time'"),
        ("label", True, "test.parquet has no column 'label'"),
        ("", False, "its likes_level and views_level are those of the end of the data"),
    ],
)
def test_data_that_cannot_be_replayed_is_refused(tmp_path: Path, drop: str, as_of_click: bool, message: str) -> None:
    data = write(tmp_path / "data", rows(), as_of_click)
    for split in SPLITS if drop == "time" else ("test",):
        if drop:
            pq.write_table(pq.read_table(split_path(data, split)).drop_columns([drop]), split_path(data, split))
    (tmp_path / "out").mkdir()
    with pytest.raises(StepError) as error:
        make_timeline(data, tmp_path / "out")
    assert message in str(error.value)


def _counted_over_all_time(table: pa.Table) -> pa.Table:
    """The classic leak: a level that is the item's popularity over the whole log, in every row from the first on."""
    frame = table.to_pandas()
    clicks = np.bincount(frame.item_id, frame.label, ITEMS + 1)
    level = np.minimum(10, 1 + clicks[frame.item_id] // 2).astype(np.int64)
    return table.set_column(table.column_names.index("views_level"), "views_level", pa.array(level))


def _constant(table: pa.Table) -> pa.Table:
    return table


@pytest.mark.parametrize(("change", "leaks"), [(_constant, False), (_counted_over_all_time, True)])
def test_a_level_that_knows_tomorrow_is_caught(tmp_path: Path, change: Change, leaks: bool) -> None:
    timeline = timeline_of(tmp_path / "data", change(rows()))
    items = pq.read_table(item_feature_path(timeline.files)).drop_columns(["likes_level", "views_level"])
    found = measure_hindsight(timeline, items, (FIRST_DAY + 5) * DAY)
    if leaks:
        with pytest.raises(StepError, match="views_level of the rows knows the future"):
            check_hindsight(found)
    else:
        check_hindsight(found)


def test_a_number_of_an_item_that_knows_tomorrow_is_caught(tmp_path: Path) -> None:
    table = rows()
    timeline = timeline_of(tmp_path / "data", table)
    frame = table.to_pandas()
    sold = np.bincount(frame.item_id, frame.label, ITEMS + 1)[1:]
    items = pa.table({"item_id": np.arange(1, ITEMS + 1), "sold": sold, "price": np.arange(ITEMS) % 7})
    found = measure_hindsight(timeline, items, (FIRST_DAY + 5) * DAY)
    assert abs(found["items.price"]) < 0.6 < found["items.sold"]
    with pytest.raises(StepError, match="sold of the items knows the future"):
        check_hindsight(found)
