"""A schedule file is checked as a whole before anything is sent."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.errors import StepError
from pipelines.schedule.spec import load_schedules

REPOSITORY = Path(__file__).parents[4]
GOOD = {"name": "nightly", "environment": "dev", "cron": "0 0 3 * * *", "preset": "sample"}


def write(path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump({**GOOD, **changes}))
    return path


def test_the_shipped_schedules_are_valid() -> None:
    specs = load_schedules(sorted((REPOSITORY / "infra/schedules").glob("*.yaml")))
    assert [spec.name for spec in specs] == ["nightly-dev", "drift-watch", "nightly"]
    assert [spec.skip_unchanged for spec in specs] == [False, True, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cron": "0 3 * * *"}, "has 5 fields"),
        ({"name": "Nightly run"}, "name = 'Nightly run': must be lower-case"),
        ({"preset": "fast"}, "preset = 'fast': must be one of 'sample'"),
        ({"overrides": ["train.colour=1"]}, "no such field; there is"),
        ({"concurrency": 11}, r"concurrency = 11: must lie in \[1, 10\]"),
        ({"retrain_above_drift": -0.1}, "retrain_above_drift = -0.1: must be at least 0"),
        ({"catch_up": True}, "every missed run would read the same newest data"),
        ({"colour": "red"}, "colour: no such field"),
        ({"cron": 3}, "cron = 3: must be a text"),
        ({"refresh": {}}, "refresh: says no training; set cold or warm to nightly or weekly, or on_drift above 0"),
        ({"refresh": {"warm": "daily"}}, "refresh.warm = 'daily': must be one of 'never', 'nightly', 'weekly'"),
        ({"refresh": {"hot": "nightly"}}, "refresh.hot: no such field; refresh has cold, on_drift, warm"),
        ({"refresh": {"on_drift": -1}}, "refresh.on_drift = -1.0: must be at least 0"),
        ({"refresh": {"cold": "nightly", "warm": "nightly"}}, "refresh.cold = 'nightly': leaves no night for warm"),
        ({"refresh": {"cold": "nightly", "on_drift": 0.2}}, "refresh.cold = 'nightly': leaves no night for warm"),
        ({"refresh": {"cold": "weekly", "warm": "weekly"}}, "refresh.warm = 'weekly': falls on the night of cold"),
        ({"refresh": {"warm": "nightly"}, "cron": "0 0 3 * * MON"}, "with refresh it says one time of each day"),
        ({"refresh": {"warm": "nightly"}, "cron": "0 0 */4 * * *"}, "with refresh it says one time of each day"),
        ({"refresh": {"warm": "nightly"}, "retrain_above_drift": 0.2}, "with refresh, say it as refresh.on_drift"),
        ({"refresh": {"warm": "nightly"}, "name": "n" * 48}, f"name = '{'n' * 48}-warm': must be lower-case"),
    ],
)
def test_a_wrong_file_is_named_with_the_field(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StepError, match=f"bad.yaml: .*{message}"):
        load_schedules([write(tmp_path / "bad.yaml", **changes)])


@pytest.mark.parametrize(
    ("refresh", "runs"),
    [
        pytest.param(
            {"warm": "nightly", "cold": "weekly", "on_drift": 0.2},
            {"cold": ("SUN", 0.0, "scratch", 0.0), "warm": ("MON-SAT", 0.0, "champion", 0.2)},
            id="warm nights, cold Sundays, cold after a drift",
        ),
        pytest.param({"warm": "nightly"}, {"warm": ("*", 0.0, "champion", 0.0)}, id="warm nights"),
        pytest.param({"cold": "nightly"}, {"cold": ("*", 0.0, "scratch", 0.0)}, id="cold nights"),
        pytest.param({"on_drift": 0.3}, {"drift": ("*", 0.3, "scratch", 0.0)}, id="only after a drift"),
        pytest.param(
            {"cold": "weekly", "on_drift": 0.3},
            {"cold": ("SUN", 0.0, "scratch", 0.0), "drift": ("MON-SAT", 0.3, "scratch", 0.0)},
            id="cold Sundays, and after a drift",
        ),
        pytest.param(
            {"warm": "weekly", "on_drift": 0.3},
            {"warm": ("SUN", 0.0, "champion", 0.3), "drift": ("MON-SAT", 0.3, "scratch", 0.0)},
            id="warm Sundays, cold after a drift",
        ),
    ],
)
def test_a_refresh_policy_becomes_recurring_runs_of_which_a_night_has_one(
    tmp_path: Path, refresh: dict[str, Any], runs: dict[str, Any]
) -> None:
    found = load_schedules([write(tmp_path / "a.yaml", refresh=refresh, overrides=["train.seed=4"])])
    made = {}
    for spec in found:
        config, weekdays = spec.config(), spec.cron.removeprefix("0 0 3 * * ")
        made[spec.name] = (weekdays, spec.retrain_above_drift, config.train.start, config.train.cold_above_drift)
        assert config.train.seed == 4
        warm = config.train.start == "champion"
        assert config.embed.projection == ("reuse-champion" if warm else "fit")
    assert made == {f"nightly-{kind}": of for kind, of in runs.items()}
    nights = [time.date() for spec in found for time in spec.clock().times(datetime(2026, 11, 28, tzinfo=UTC), 7)]
    assert all(nights.count(date) == 1 for date in sorted(nights)[:7])


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    paths = [write(tmp_path / "a.yaml"), write(tmp_path / "b.yaml")]
    with pytest.raises(StepError, match=r"b.yaml: the name 'nightly' is taken by .*a.yaml"):
        load_schedules(paths)


@pytest.mark.parametrize("text", ["- a list", "name: [", ""], ids=["list", "broken", "empty"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(StepError, match=r"bad\.yaml: "):
        load_schedules([tmp_path / "bad.yaml"])


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"none\.yaml: No such file"):
        load_schedules([tmp_path / "none.yaml"])


def test_overrides_reach_the_config(tmp_path: Path) -> None:
    (spec,) = load_schedules([write(tmp_path / "a.yaml", overrides=["train.seed=7"])])
    assert spec.config().train.seed == 7
