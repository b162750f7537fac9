"""mmctr canary report: what is joined, what is left out, and when it recommends."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from benchmarks.canary import measure, shadow, split
from components.canary.report import Question, rate_difference, report
from components.errors import StepError
from components.request_log.entry import BASE
from components.request_log.read import Period
from components.statistics.intervals import difference_by_user
from components.storage.objects import LocalStore
from pipelines.cli import app

ASKED = Question(champion=3, challenger=4)
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
SAME: dict[str, Any] = {
    "at": NOON,
    "route": "/rank",
    "user": None,
    "arm": 3,
    "version": 3,
    "item_table": "c" * 64,
    "shadow": None,
    "position": 0,
    "item_id": 1,
    "known": True,
    "logit": 0.0,
    "shadow_logit": None,
    "history_length": 3,
    "history_unknown": 0,
}


def write_log(folder: Path, columns: dict[str, Any]) -> LocalStore:
    """A log of these columns; the others are the same everywhere."""
    rows = len(columns["request_id"])
    arrays = [pa.array(columns.get(field.name, [SAME.get(field.name)] * rows), field.type) for field in BASE]
    (folder / "day=2026-11-28").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_arrays(arrays, schema=BASE), folder / "day=2026-11-28/120000-a-1.parquet")
    return LocalStore(folder)


def trial(seed: int, better: float, users: int = 600, items: int = 4) -> tuple[dict[str, Any], pd.DataFrame]:
    """A shadow trial: the challenger sees an item's appeal through less noise. Returns the log's columns and clicks."""
    random = np.random.default_rng(seed)
    rows = users * items
    appeal = random.normal(size=rows)
    clicked = random.random(rows) < 1 / (1 + np.exp(1 - 2 * appeal))
    columns = {
        "request_id": [f"r{row // items}" for row in range(rows)],
        "user": [f"u{row // items // 2}" for row in range(rows)],
        "item_id": [1 + row % items for row in range(rows)],
        "logit": appeal + random.normal(size=rows),
        "shadow": [4] * rows,
        "shadow_logit": appeal + (1 - better) * random.normal(size=rows),
    }
    frame = pd.DataFrame({"request_id": columns["request_id"], "item_id": columns["item_id"]})[clicked]
    return columns, frame


def saved(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


def pairs(frame: pd.DataFrame) -> set[tuple[str, int]]:
    return set(zip(frame["request_id"], frame["item_id"], strict=True))


def test_in_the_shadow_it_is_the_gates_test_on_the_joined_rows(tmp_path: Path) -> None:
    columns, clicks = trial(1, 0.7)
    store = write_log(tmp_path / "log", columns)
    found = report(store, Period(), saved(clicks, tmp_path / "clicks.parquet"), ASKED)
    clicked = pairs(clicks)
    labels = [int(pair in clicked) for pair in zip(columns["request_id"], columns["item_id"], strict=True)]
    challenger, champion = (np.asarray(columns[name], np.float32) for name in ("shadow_logit", "logit"))
    expected = difference_by_user(labels, challenger, champion, columns["user"], 0.9)
    assert (found["mode"], found["measure"], found["users"], found["requests"]) == ("shadow", "AUC", 300, 600)
    assert (found["value"], found["error"]) == pytest.approx((expected.value, expected.error), abs=1e-9)
    assert found["verdict"] == "promote"
    swapped = {**columns, "logit": columns["shadow_logit"], "shadow_logit": columns["logit"]}
    store = write_log(tmp_path / "swapped", swapped)
    assert report(store, Period(), tmp_path / "clicks.parquet", ASKED)["verdict"] == "worse"
    store = write_log(tmp_path / "same", {**columns, "shadow_logit": columns["logit"]})
    same = report(store, Period(), tmp_path / "clicks.parquet", ASKED)
    assert (same["verdict"], same["why"]) == ("open", "the two versions do not differ on any user")


def test_with_a_margin_it_is_enough_not_to_be_worse(tmp_path: Path) -> None:
    columns, clicks = trial(4, 0.0)
    columns["shadow_logit"] = columns["logit"] + 0.01 * np.random.default_rng(1).normal(size=len(columns["logit"]))
    store = write_log(tmp_path / "log", columns)
    file = saved(clicks, tmp_path / "clicks.parquet")
    assert report(store, Period(), file, ASKED)["verdict"] == "open"
    assert report(store, Period(), file, replace(ASKED, margin=0.02))["verdict"] == "promote"


def test_labels_of_shown_items_and_the_first_items_of_a_request(tmp_path: Path) -> None:
    columns, clicks = trial(2, 0.5)
    store = write_log(tmp_path / "log", columns)
    assert report(store, Period(), saved(clicks, tmp_path / "c.csv"), replace(ASKED, shown=2))["rows"] == 1200
    shown = pd.DataFrame({name: columns[name] for name in ("request_id", "item_id")}).query("item_id <= 3")
    clicked = pairs(clicks)
    labels = [int(pair in clicked) for pair in zip(shown["request_id"], shown["item_id"], strict=True)]
    found = report(store, Period(), saved(shown.assign(label=labels), tmp_path / "shown.parquet"), ASKED)
    assert (found["rows"], found["clicks"]) == (1800, sum(labels))


def test_late_clicks_and_clicks_of_other_requests_are_counted_and_left_out(tmp_path: Path) -> None:
    columns, clicks = trial(3, 0.5)
    store = write_log(tmp_path / "log", columns)
    clicks["time"] = NOON + timedelta(hours=1)
    clicks.iloc[0, 2] = NOON + timedelta(hours=25)
    clicks.iloc[1, 2] = NOON - timedelta(seconds=1)
    other = pd.DataFrame({"request_id": ["elsewhere"] * 2, "item_id": [1, 2], "time": [NOON] * 2})
    twice = pd.concat([clicks, clicks.iloc[5:6], other])
    found = report(store, Period(), saved(twice, tmp_path / "clicks.parquet"), ASKED)
    assert (found["late_clicks"], found["clicked_requests_not_in_log"]) == (2, 1)
    assert found["clicks"] == len(clicks) - 2


def test_groups_of_users_are_compared_by_clicks_a_request(tmp_path: Path) -> None:
    random, users = np.random.default_rng(1), 1500
    arm = np.where(random.random(users) < 0.5, 4, 3)
    clicked = random.random(users) < np.where(arm == 4, 0.5, 0.2)
    columns: dict[str, Any] = {
        "request_id": [f"r{user}" for user in range(users)],
        "user": [f"u{user}" for user in range(users)],
        "arm": arm,
        "version": np.where(np.arange(users) < 20, 3, arm),  # the champion stood in
    }
    store = write_log(tmp_path / "log", columns)
    clicks = pd.DataFrame({"request_id": [f"r{user}" for user in np.flatnonzero(clicked)], "item_id": 1})
    found = report(store, Period(), saved(clicks, tmp_path / "clicks.csv"), ASKED)
    tried = arm == 4
    assert found["mode"] == "split"
    assert found["value"] == pytest.approx(clicked[tried].mean() - clicked[~tried].mean())
    error = np.sqrt(clicked[tried].var() / tried.sum() + clicked[~tried].var() / (~tried).sum())
    assert found["error"] == pytest.approx(error, rel=1e-3)
    assert found["stood_in"] == int(tried[:20].sum())
    assert found["verdict"] == "promote"


def test_a_user_in_both_halves_counts_once() -> None:
    """Users differ much, and each has one request in both halves: what they have in common cancels out."""
    random = np.random.default_rng(1)
    own = random.random(400)
    counted = np.concatenate([own, own + 0.01 * random.normal(size=400)])
    tried, units = np.repeat([False, True], 400), np.tile(np.arange(400), 2)
    assert rate_difference(counted, tried, units)[1] < 0.1 * rate_difference(counted, tried, np.arange(800))[1]


def test_too_few_users_are_not_judged(tmp_path: Path) -> None:
    columns, clicks = trial(1, 0.9, users=300)
    store = write_log(tmp_path / "log", columns)
    found = report(store, Period(), saved(clicks, tmp_path / "clicks.parquet"), ASKED)
    assert (found["verdict"], "value" in found) == ("open", False)
    assert found["why"].startswith("fewer than 200 users, or")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("request_id,clicked\nr1,1\n", "has no column item_id"),
        ("request_id,item_id\nr1,one\n", "item_id is of type .*; must be whole numbers"),
        ("request_id,item_id,label\nr1,1,2\n", "label holds 2; must be 0 or 1"),
        ("request_id,item_id,time\nr1,1,noon\n", "time can't be read as a time"),
    ],
)
def test_wrong_clicks_are_named(text: str, error: str, tmp_path: Path) -> None:
    store = write_log(tmp_path / "log", trial(1, 0.5)[0])
    (tmp_path / "clicks.csv").write_text(text)
    with pytest.raises(StepError, match=error):
        report(store, Period(), tmp_path / "clicks.csv", ASKED)


def test_wrong_questions_are_named(tmp_path: Path) -> None:
    store = write_log(tmp_path / "log", trial(1, 0.5)[0])
    with pytest.raises(StepError, match="no requests of versions 7 and 8; it holds those of 3"):
        report(store, Period(), tmp_path / "clicks.csv", Question(7, 8))
    with pytest.raises(StepError, match=r"clicks.csv: no such file"):
        report(store, Period(), tmp_path / "clicks.csv", ASKED)
    changes: tuple[dict[str, Any], ...] = ({"mode": "both"}, {"alpha": 0.9}, {"effect": 0.0}, {"shown": 0})
    for change in (*changes, {"champion": 4}):
        with pytest.raises(ValueError, match=f"--{next(iter(change))}"):
            replace(ASKED, **change)


def test_the_command_recommends_and_says_so_by_its_exit_status(tmp_path: Path) -> None:
    columns, clicks = trial(1, 0.7)
    write_log(tmp_path / "log", columns)
    given = ["canary", "report", str(tmp_path / "log"), "--champion", "3", "--challenger", "4"]
    given += ["--clicks", str(saved(clicks, tmp_path / "clicks.parquet"))]
    said = CliRunner().invoke(app, given)
    assert said.exit_code == 0, said.output
    assert "mmctr review approve 4" in said.stdout
    assert json.loads(CliRunner().invoke(app, [*given, "--json"]).stdout)["verdict"] == "promote"
    write_log(tmp_path / "log", {**columns, "shadow_logit": columns["logit"][::-1]})
    said = CliRunner().invoke(app, given)
    assert (said.exit_code, "worse: " in said.stdout) == (3, True)


def test_few_false_promotions_at_repeated_looks_and_some_true_ones() -> None:
    """A short form of benchmarks/canary.py, whose thousand runs are in benchmarks/results/canary.json."""
    halves = partial(split, users=3000, rate=0.3, share=0.5)
    null = measure("A/A", 60, 3000, 0.01, partial(halves, gain=0.0))
    assert null["promoted"] <= 0.1
    assert null["once_a_look"] >= 0.1
    assert measure("better", 10, 3000, 0.01, partial(halves, gain=0.1))["promoted"] == 1
    paired = partial(shadow, users=1500, intercept=-1.4, gain=0.5)
    assert measure("better in the shadow", 3, 1500, 0.005, paired)["promoted"] == 1
