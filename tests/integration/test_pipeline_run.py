"""The whole pipeline, as a user runs it: `mmctr run` in processes of their own, on a small data set."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from components.dataset.sample import SIZES, write_sample

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
# Two epochs on 1,500 rows learn next to nothing: here the pipeline is tested, not the model.
SETTINGS = (
    "train.max_epochs=2",
    "gate.auc_floor=0.4",
    "gate.minimum_rows=100",
    "gate.calibration_ceiling=1",
    "gate.baseline_margin=-1",
)
QUICK = [word for setting in SETTINGS for word in ("--set", setting)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_sample(folder, SIZES["tiny"])
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


def command(workspace: Path, data: Path, *more: str) -> list[str]:
    program = "from pipelines.cli import main; main()"
    return [sys.executable, "-c", program, "run", "--data", str(data), "--workspace", str(workspace), *QUICK, *more]


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW")} | {
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
    }


def walk(workspace: Path, data: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(workspace, data, *more), env=environment(), cwd=ROOT, text=True, capture_output=True, timeout=900
    )


def query(workspace: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(workspace / "mlflow.db")) as database:
        return database.execute(sql).fetchall()


@pytest.fixture(scope="module")
def first(workspace: Path, data: Path) -> "subprocess.CompletedProcess[str]":
    done = walk(workspace, data)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_run_ends_with_version_alias_verdict_and_a_report_that_exists(
    first: "subprocess.CompletedProcess[str]",
) -> None:
    assert "mmctr version 1, alias challenger, validation pending" in first.stdout
    assert "gate       pass" in first.stdout
    report = next(line.split()[1] for line in first.stdout.splitlines() if line.startswith("report"))
    assert "<html" in Path(report).read_text()


@pytest.mark.usefixtures("first")
def test_one_pipeline_run_is_one_tracked_run_with_config_curves_and_lineage(workspace: Path) -> None:
    assert query(workspace, "select status, count(*) from runs group by status") == [("FINISHED", 1)]
    ((name,),) = query(workspace, "select name from runs")
    assert re.fullmatch(r"sample \d{4}-\d\d-\d\d \d\d:\d\d UTC", str(name))
    params = {key for (key,) in query(workspace, "select key from params")}
    assert {"model.embedding_dim", "train.batch_size", "preset"} <= params
    metrics = {str(key) for (key,) in query(workspace, "select distinct key from metrics")}
    assert any("valid_auc" in key for key in metrics)
    assert any(key == "evaluate/candidate.auc.value" for key in metrics)
    tags = {key for (key,) in query(workspace, "select key from tags")}
    assert {"mmctr.data_md5", "mmctr.code_commit", "mmctr.lock_sha256", "mmctr.gate"} <= tags


@pytest.mark.usefixtures("first")
def test_the_second_run_finds_everything_made(workspace: Path, data: Path) -> None:
    trained = sorted((workspace / "cache" / "training").rglob("*"))
    again = walk(workspace, data)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "unchanged  mmctr version 1 waits for review already; nothing new was registered" in again.stdout
    assert query(workspace, "select count(*) from model_versions") == [(1,)]
    assert sorted((workspace / "cache" / "training").rglob("*")) == trained


@pytest.fixture
def spoiled(data: Path, tmp_path: Path) -> Path:
    """Its footer is whole, so that the command line takes it; what the footer names can't be read."""
    folder = tmp_path / "spoiled"
    shutil.copytree(data, folder)
    with (folder / "train.parquet").open("r+b") as file:
        file.seek(4)  # after the magic bytes
        file.write(b"\xff" * 2000)
    return folder


def test_a_failed_step_is_named_with_its_cause_and_registers_nothing(tmp_path: Path, spoiled: Path) -> None:
    failed = walk(tmp_path, spoiled)
    assert failed.returncode == 1
    last = failed.stdout.strip().splitlines()[-4:]
    assert any(line.startswith("failed     validate:") and "train.parquet" in line for line in last), failed.stdout
    assert "nothing was registered" in failed.stdout
    assert query(tmp_path, "select count(*) from model_versions") == [(0,)]
    assert query(tmp_path, "select status from runs") == [("FAILED",)]  # the exit handler had its say


@pytest.mark.parametrize(
    ("sign", "step", "status"),
    [
        pytest.param(signal.SIGINT, "train", 130, id="Ctrl-C"),
        pytest.param(signal.SIGHUP, "validate", 129, id="the terminal is closed"),
        pytest.param(signal.SIGKILL, "train", -9, id="kill -9"),
    ],
)
def test_whatever_ends_the_command_ends_every_step(
    tmp_path: Path, data: Path, sign: signal.Signals, step: str, status: int
) -> None:
    # The command leaves SIGHUP ignored where it finds it so, as under nohup, and these tests may themselves run there.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    process = subprocess.Popen(
        command(tmp_path, data), env=environment(), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    signal.signal(signal.SIGHUP, before)
    events = _wait_for_step(tmp_path, step)
    _wait_until(lambda: len(_processes_of(events)) >= 3)
    process.send_signal(sign)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in errors
    _wait_until(lambda: not _processes_of(events))
    assert '"register"' not in events.read_text()
    scratch = events.with_name("tmp")
    if sign == signal.SIGKILL:
        assert any(scratch.iterdir()), "the test needs the temporary files that a killed run leaves"
        done = walk(tmp_path, data)
        assert "mmctr version 1, alias challenger" in done.stdout
        assert query(tmp_path, "select count(*) from model_versions") == [(1,)]
    else:
        assert "the same command goes on from there" in output
    assert not scratch.exists()


def test_a_gate_that_fails_has_an_exit_status_of_its_own(workspace: Path, data: Path) -> None:
    failed = walk(workspace, data, "--set", "gate.auc_floor=0.999")
    assert failed.returncode == 3, failed.stdout + failed.stderr
    assert "gate       fail: nothing is registered" in failed.stdout


def _wait_for_step(workspace: Path, name: str) -> Path:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for events in workspace.glob("runs/*/events.jsonl"):
            lines = [json.loads(line) for line in events.read_text().splitlines()]
            if any(line["kind"] == "step" and line["name"] == name for line in lines):
                return events
        time.sleep(0.1)
    raise AssertionError(f"{name} did not start")


def _processes_of(events: Path) -> list[int]:
    """Every process, in whatever session, that was started for the run of this events file."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(events).encode() in environ.read_bytes():
                found.append(int(environ.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
