"""The sample with time: no row knows a later day, and what happened is where the truth says."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from components.dataset.layout import LEVELS_AS_OF_CLICK, SPLITS, split_path
from components.dataset.sample import DaysSpec, SampleSpec, __main__, write_days
from components.dataset.sample.days import DAY, FIRST_DAY, STEADY
from components.dataset.tables import deciles
from components.storage.files import read_json, sha256_file

ITEMS = SampleSpec(items=120, content="item_info")
SPEC = DaysSpec(days=20, rows_a_day=400)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("days")
    write_days(out, ITEMS, SPEC)
    return out


@pytest.fixture(scope="module")
def rows(sample: Path) -> pd.DataFrame:
    frame = pd.concat([pq.read_table(split_path(sample, split)).to_pandas() for split in SPLITS])
    frame["day"] = (frame.time - int(FIRST_DAY.timestamp())) // DAY
    return frame.reset_index(drop=True)


@pytest.fixture(scope="module")
def truth(sample: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(sample / "truth.json")["days"]
    return found


def test_rows_come_in_the_order_of_time_and_splits_are_whole_days(sample: Path, rows: pd.DataFrame) -> None:
    assert rows.time.is_monotonic_increasing
    assert (rows.day.value_counts() == 400).all()
    assert set(rows.day) == set(range(20))
    assert [pq.read_metadata(split_path(sample, split)).num_rows for split in SPLITS] == [6400, 800, 800]
    for split in SPLITS:
        assert LEVELS_AS_OF_CLICK.items() <= pq.read_schema(split_path(sample, split)).metadata.items()


def test_items_are_shown_only_while_they_live(rows: pd.DataFrame, truth: dict[str, Any]) -> None:
    born, gone = np.array(truth["born"]), np.array(truth["gone"])
    at = rows.item_id.to_numpy() - 1
    assert (born[at] <= rows.day).all()
    assert (rows.day < gone[at]).all()
    assert 30 < (born > 0).sum() < 90
    assert (gone < 20).sum() > 5


def test_levels_count_the_clicks_of_earlier_days_only(rows: pd.DataFrame, truth: dict[str, Any]) -> None:
    born, gone = np.array(truth["born"]), np.array(truth["gone"])
    for day in (0, 7, 19):
        before = rows[(rows.day < day) & (rows.label == 1)]
        clicks = np.bincount(before.item_id - 1, minlength=120)
        alive = (born <= day) & (day < gone)
        levels = np.zeros(120, dtype=np.int64)
        levels[alive] = deciles(clicks[alive])
        today = rows[rows.day == day]
        assert (today.views_level.to_numpy() == levels[today.item_id - 1]).all()


def test_histories_are_lost_on_the_broken_day_alone(rows: pd.DataFrame, truth: dict[str, Any]) -> None:
    assert truth["broken_day"] == 9
    empty = rows.item_seq.map(lambda history: not np.any(history))
    assert set(rows.day[empty]) == {9}
    assert empty[rows.day == 9].all()


def test_knowledge_ages_and_training_each_night_is_best(truth: dict[str, Any]) -> None:
    ages = truth["auc_by_age"]
    assert ages[0] > ages[1] > ages[7] > ages[14]
    assert truth["policies"]["cold nightly"] > truth["policies"]["cold weekly"] > truth["policies"]["never"]
    assert truth["best"] == "cold nightly"


def test_where_nothing_changes_never_is_as_good(tmp_path: Path) -> None:
    write_days(tmp_path, ITEMS, dataclasses.replace(STEADY, days=10, rows_a_day=120))
    truth = read_json(tmp_path / "truth.json")["days"]
    assert truth["best"] == "never"
    assert (truth["shift_day"], truth["broken_day"], truth["broken_field"]) == (None, None, None)


def test_the_same_specs_give_the_same_bytes(tmp_path: Path) -> None:
    spec = DaysSpec(days=10, rows_a_day=80)
    for name in ("one", "two"):
        write_days(tmp_path / name, ITEMS, spec)
    for path in (tmp_path / "one").iterdir():
        assert sha256_file(path) == sha256_file(tmp_path / "two" / path.name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--days", "3"], "--days = 3: must be at least 10"),
        (["--rows-a-day", "80"], "--rows-a-day needs --days"),
        (["--days", "20", "--rows", "80"], "takes --rows-a-day instead of --rows"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["sample", "--out", "never-made", *arguments])
    with pytest.raises(SystemExit):
        __main__.main()
    assert message in capsys.readouterr().err
