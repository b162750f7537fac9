"""`mmctr study` as a person types it: what is refused before anything starts, and how it ends."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from components.storage.files import write_json
from pipelines.cli import app, main
from pipelines.cli.study_screen import StudyScreen, duration
from studies import step
from studies.engine import Order, StudyData, StudyRun
from studies.inputs import Inputs

INPUTS = Inputs("key", "code", "d", "v", "e", "t", "m", "test", "", {}, {})
FOUND = {"arm": "inverted", "against": "right", "difference": -0.0123, "verdict": "worse", "p_holm": 0.003}
RESULTS = {
    "arms": [{"name": "right", "auc": {"mean": 0.871, "sd": 0.002}}, {"name": "inverted", "auc": None}],
    "comparisons": [FOUND],
}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["masks"], "study = 'masks': must be one of ", id="unknown-study"),
        pytest.param(
            ["mask", "--arms", "right,left"], "--arms = 'left': must be one of 'right', 'inverted'", id="arms"
        ),
        pytest.param(["mask", "--seeds", "0"], "--seeds = 0: must be at least 1", id="seeds"),
        pytest.param(["mask", "--jobs", "0"], "--jobs = 0: must be at least 1", id="jobs"),
        pytest.param(["mask", "--rows", "1"], "--rows = 1: must be at least 2", id="rows"),
        pytest.param(["mask", "--data", "nowhere"], "--data nowhere: no such folder", id="data"),
        pytest.param(["mask", "--set", "train.seed=4"], "--set train.seed: a study takes the seeds 1, 2, 3", id="seed"),
        pytest.param(["mask", "--set", "train.speed=4"], "no such field", id="set"),
        pytest.param(["mask", "--preset", "huge"], "preset = 'huge': no such preset; there is", id="preset"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mmctr", "study", *words])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("mmctr: ")
    assert message in told
    assert "Traceback" not in told


@pytest.mark.parametrize(("failed", "code"), [({}, 0), ({"inverted, seed 2": "its [memory] was full"}, 1)])
def test_it_ends_with_what_was_found_and_names_failed_cells(
    failed: dict[str, str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Order] = []

    def made_up(order: Order, on_event: Any) -> StudyRun:
        asked.append(order)
        assert tmp_path / "commands" in Path(os.environ["TMPDIR"]).parents, "its trainings would leave files in /tmp"
        on_event({"kind": "cells", "total": 4, "finished": 4})
        write_json(order.out / "results.json", RESULTS)
        return StudyRun(INPUTS, [], failed)

    monkeypatch.setattr(step, "run_study", made_up)
    monkeypatch.setenv("COLUMNS", "200")
    done = CliRunner().invoke(app, ["study", "mask", "--arms", "inverted", "--workspace", str(tmp_path)])
    assert done.exit_code == code, done.output
    assert "right                           AUC 0.8710 ± 0.0020" in done.stdout
    assert "inverted minus right: -0.0123, worse (Holm p 0.003)" in done.stdout
    assert ("inverted, seed 2: its [memory] was full" in done.stdout) is bool(failed)
    assert f"report     {tmp_path}/studies/mask-versioned/report.html" in done.stdout
    (order,) = asked
    assert (order.seeds, order.jobs, order.source) == (3, 2, StudyData(None, Path.cwd(), "HEAD"))
    assert order.study.arm_names == ("right", "inverted")


def test_the_screen_tells_each_cell_and_how_long_the_rest_takes() -> None:
    console = Console(record=True, width=120, force_terminal=False)
    screen = StudyScreen(2, console)
    with screen:
        screen.show({"kind": "preparing"})
        screen.show({"kind": "progress", "name": "embed", "done": 1, "total": 2, "unit": "items", "rate": 3.0})
        rows = {"train": 1000, "used": 200}
        screen.show({"kind": "prepared", "rows": rows, "split": "valid", "note": "because test has no labels"})
        screen.show({"kind": "cells", "total": 5, "finished": 1})
        assert screen.remaining() is None
        for name, state in (("a, seed 1", "finished"), ("b [x], seed 1", "failed")):
            screen.show({"kind": "cell", "state": "started", "cell": name})
            screen.show({"kind": "measure", "cell": name})
            screen.show(
                {
                    "kind": "cell",
                    "state": state,
                    "cell": name,
                    "figures": {"auc": 0.8},
                    "seconds": 60.0,
                    "cause": "bad [y]",
                }
            )
        assert screen.remaining() == pytest.approx(2 * 60 / 2)
        screen.show({"kind": "untracked", "cause": "no answer"})
        screen.interrupted()
    told = console.export_text()
    expected = [
        "200 of 1,000 train rows, measured on valid",
        "because test has no labels",
        "1 of 5 cells were there",
        "a, seed 1: AUC 0.8000",
        "b [x], seed 1: bad [y]",
        "stopped with 3 of 5 cells",
        "no answer",
    ]
    assert [line for line in expected if line not in told] == []


@pytest.mark.parametrize(
    ("seconds", "told"), [(20, "seconds"), (60, "1 min"), (3599, "1 h 0 min"), (7500, "2 h 5 min")]
)
def test_durations_are_shown_in_hours_and_minutes(seconds: float, told: str) -> None:
    assert duration(seconds) == told
