"""`mmctr replay` as a person types it: what is refused before anything starts, and how it ends."""

import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines.cli import app, main
from studies.replay import step
from tests.replay_results import results


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["--policies", "hourly"], "--policies: 'hourly' is no policy; must be never, ", id="policy"),
        pytest.param(["--nights", "0"], "--nights = 0: must be at least 1", id="nights"),
        pytest.param(["--every", "0"], "--every = 0: must be at least 1", id="every"),
        pytest.param(["--window", "-1"], "--window = -1: must be at least 0", id="window"),
        pytest.param(["--jobs", "0"], "--jobs = 0: must be at least 1", id="jobs"),
        pytest.param(["--data", "nowhere"], "--data nowhere: no such folder", id="data"),
        pytest.param(["--set", "train.speed=4"], "no such field", id="set"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mmctr", "replay", *words])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("mmctr: ")
    assert told.count("\n") == 1
    assert message in told


@pytest.mark.parametrize(("failed", "code"), [([], 0), ([{"policy": "never", "message": "its [memory] was full"}], 1)])
def test_it_ends_with_the_advice_and_names_what_failed(
    failed: list[dict[str, str]], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[step.ReplayOrder] = []

    def made_up(order: step.ReplayOrder, on_event: Any) -> dict[str, Any]:
        asked.append(order)
        on_event({"kind": "replay data", "data": {"rows": 96_000, "first_day": "2026-06-01", "last_day": "2026-07-10"}})
        on_event({"kind": "cell", "state": "started", "cell": "never"})
        on_event({"kind": "cell", "state": "finished", "cell": "never", "figures": {"promoted": 1}, "seconds": 2.0})
        return {**results(), "failed": failed}

    monkeypatch.setattr(step, "run_replay", made_up)
    monkeypatch.setenv("COLUMNS", "200")
    words = ["replay", "--policies", "never, drift 0.5", "--every", "5", "--workspace", str(tmp_path)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output
    for line in (
        "96,000 rows from 2026-06-01 to 2026-07-10",
        "never: 1 models served",
        "cold nightly                    AUC 0.83",
        "Use “cold nightly”: it served best",
        f"report     {tmp_path}/replays/versioned/report.html",
    ):
        assert line in done.stdout
    assert ("never: its [memory] was full" in done.stdout) is bool(failed)
    (order,) = asked
    assert [policy.name for policy in order.policies] == ["never", "drift 0.5"]
    assert (order.plan.nights, order.plan.every, order.plan.window, order.jobs) == (30, 5, 0, 2)
