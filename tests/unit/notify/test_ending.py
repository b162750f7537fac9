"""How the end of a run is recorded in MLflow and told in a chat, for each state that Kubeflow really reports.

The state is that of the metadata store, and the error text is always empty: Kubeflow Pipelines 2.17.0,
backend/src/v2/driver/resolve.go:470-478. `COMPLETE` needs every step of the group to be complete
(backend/src/v2/metadata/client.go:848-862), so a branch that was not taken leaves it `RUNNING`.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from components.errors import StepError
from components.harness import MINUTES_VARIABLE, step
from components.notify.step import notify, sentence
from components.run_config import RunConfig
from components.settings import to_dict
from components.tracking.ending import BEGAN, concluded, ending_of
from components.tracking.runs import run_for
from components.tracking.server import connect
from components.tracking.tags import STANDING

CONFIG = json.dumps(to_dict(RunConfig("sample")))
WAITS = "version 7 passed the gate and waits for review"
WAITING = """
import sys, time
from components.harness import step
with step("train", "nightly", sys.argv[1], sys.argv[2]):
    print("at work", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    connect()  # makes the tables here, where that is quick, and not in the processes that these tests start


def succeed(out: Path, *names: str) -> None:
    for name in names:
        with step(name, "nightly", CONFIG, str(out / name)):
            pass


def conclude(out: Path, name: str, outcome: str) -> None:
    with step(name, "nightly", CONFIG, str(out / name)) as this:
        this.run.set_tags({"mmctr.why": "the data are the champion's", "mmctr.model_version": "7", STANDING: WAITS})
        this.run.set_tags(concluded(outcome))  # type: ignore[arg-type]


def registered(out: Path) -> None:
    succeed(out, "ingest", "gate")
    conclude(out, "register", "registered")


def gate_failed(out: Path) -> None:
    succeed(out, "ingest")
    conclude(out, "gate", "gate failed")


def skipped(out: Path) -> None:
    succeed(out, "ingest")
    conclude(out, "decide", "skipped")


def step_failed(out: Path) -> None:
    with pytest.raises(SystemExit), step("validate", "nightly", CONFIG, str(out)):
        raise StepError("train.parquet is empty")


def end_a_step_by(sign: signal.Signals, out: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", WAITING, CONFIG, str(out)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        process.send_signal(sign)


def step_timed_out(out: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MINUTES_VARIABLE, "0.00001")
        end_a_step_by(signal.SIGTERM, out)


def timed_out_without_a_word(out: Path) -> None:
    """The container was gone before the step could send anything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MINUTES_VARIABLE, "0.00001")
        end_a_step_by(signal.SIGKILL, out)


def run_terminated(out: Path) -> None:
    end_a_step_by(signal.SIGTERM, out)


def launcher_killed(out: Path) -> None:
    succeed(out, "ingest", "fetch-champion")
    end_a_step_by(signal.SIGKILL, out)


CASES: list[tuple[Callable[[Path], None], str, str, str]] = [
    (registered, "COMPLETE", "FINISHED", WAITS),
    (gate_failed, "RUNNING", "FINISHED", "the candidate did not pass the gate; nothing was registered"),
    (skipped, "RUNNING", "FINISHED", "nothing to learn: the data are the champion's"),
    (step_failed, "FAILED", "FAILED", "the run failed in validate: train.parquet is empty"),
    (step_timed_out, "FAILED", "FAILED", "the run failed in train: it was ended after 0 min by its time limit"),
    (timed_out_without_a_word, "RUNNING", "FAILED", "the run failed in train: its time limit of 1e-05 min ended it"),
    (run_terminated, "RUNNING", "KILLED", "the run was killed in train: it was ended from outside after 0 min"),
    (launcher_killed, "RUNNING", "KILLED", "the run was killed in train: neither it nor a step after it left a word"),
]


@pytest.mark.parametrize(("night", "state", "status", "message"), CASES, ids=[case[0].__name__ for case in CASES])
def test_a_night_is_recorded_as_it_was(
    night: Callable[[Path], None], state: str, status: str, message: str, tmp_path: Path
) -> None:
    night(tmp_path / "out")
    summary = notify("mmctr", "nightly", state)
    run = run_for("nightly", "mmctr")
    assert run.server.call("get_run", run.run_id).info.status == status
    assert sentence(summary).startswith(f"mmctr: {message}")
    assert run.tags()["mmctr.outcome"] == summary["outcome"]


def test_a_try_that_failed_is_forgotten_when_the_next_one_succeeds(tmp_path: Path) -> None:
    step_failed(tmp_path)
    succeed(tmp_path, "validate")
    conclude(tmp_path, "gate", "gate failed")
    summary = notify("mmctr", "nightly", "RUNNING")
    assert (summary["outcome"], summary["failed_step"], summary["cause"]) == ("gate failed", "", "")


def test_a_failed_shard_is_not_forgotten_when_another_succeeds(tmp_path: Path) -> None:
    with pytest.raises(SystemExit), step("encode-shard", "nightly", CONFIG, str(tmp_path / "1"), part=1):
        raise StepError("item 7: the picture can't be read")
    with step("encode-shard", "nightly", CONFIG, str(tmp_path / "2"), part=2):
        pass
    assert notify("mmctr", "nightly", "FAILED")["failed_step"] == "encode-shard 1"


def test_a_run_in_which_nothing_began_was_killed() -> None:
    assert ending_of({}, 0.0, "RUNNING").status == "KILLED"
    assert ending_of({BEGAN: '{"step": "train", "at": 100, "minutes": 0}'}, 1e9, "RUNNING").status == "KILLED"
