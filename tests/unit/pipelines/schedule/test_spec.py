"""A schedule file is checked as a whole before anything is sent."""

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
    ],
)
def test_a_wrong_file_is_named_with_the_field(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StepError, match=f"bad.yaml: .*{message}"):
        load_schedules([write(tmp_path / "bad.yaml", **changes)])


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
