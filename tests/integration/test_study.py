"""`mmctr study` as a person uses it: run, killed, run again; with cells that fail and data that must not be used."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.dataset.sample import SIZES, write_sample
from components.run_config import RunConfig
from pipelines.presets import preset
from studies.engine import Order, StudyData
from studies.grids import study
from studies.plan import Arm, Study
from studies.step import run_study

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
# Two epochs on 1,500 rows learn next to nothing: here the study is tested, not the rankers.
TRAIN = {"max_epochs": 2, "batch_size": 64, "checkpoint_steps": 5}  # no divisor of the 24 steps of an epoch
QUICK = [word for name, value in TRAIN.items() for word in ("--set", f"train.{name}={value}")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "clicks"
    write_sample(folder, replace(SIZES["tiny"], content="item_info"))  # nothing to encode
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


def command(workspace: Path, data: Path, *more: str) -> list[str]:
    program = "from pipelines.cli import main; main()"
    where = ["--data", str(data), "--workspace", str(workspace)]
    return [sys.executable, "-c", program, "study", *where, *QUICK, *more]


def environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "OMP"))}
    return kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "MLFLOW_DISABLE_TELEMETRY": "true"}


def mmctr(workspace: Path, data: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(workspace, data, *more), env=environment(), cwd=ROOT, text=True, capture_output=True, timeout=600
    )


@pytest.fixture(scope="module")
def killed(workspace: Path, data: Path) -> dict[str, bytes]:
    """A study that was killed with one cell done and another in training; the done cells, by their path."""
    arguments = command(workspace, data, "mask", "--seeds", "2", "--jobs", "1")
    process = subprocess.Popen(arguments, env=environment(), cwd=ROOT, stdout=subprocess.DEVNULL)
    for told in follow(workspace, process.pid, finished=1):
        if "train epoch 2" in told:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for_end_of(workspace)
    return {str(path): path.read_bytes() for path in cells(workspace)}


@pytest.fixture(scope="module")
def whole(killed: dict[str, bytes], workspace: Path, data: Path) -> list[dict[str, Any]]:  # noqa: ARG001
    """What the study said when it was asked for once more, and finished."""
    asked = replace(order(study("mask", base()), workspace, data, workspace / "studies" / "mask-clicks"), seeds=2)
    said: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("OMP_NUM_THREADS")
        assert run_study(asked, said.append).failed == {}
    return said


def follow(workspace: Path, study_pid: int, finished: int = 0) -> Iterator[set[str]]:
    """What the cell at work has told so far, once so many cells are finished, again and again."""
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        for path in workspace.glob(f"cache/cells/*/task-{study_pid}/events.jsonl"):
            if len(cells(workspace)) >= finished and not (path.parents[1] / "cell.json").exists():
                whole_lines = [line for line in path.read_text().splitlines() if line.endswith("}")]
                yield {event["name"] for event in map(json.loads, whole_lines) if event["kind"] == "progress"}
        time.sleep(0.02)
    raise AssertionError("no cell got that far")


def cells(workspace: Path) -> list[Path]:
    return sorted(workspace.glob("cache/cells/*/cell.json"))


def wait_for_end_of(workspace: Path) -> None:
    """A study that dies takes its cells with it: none trains on beside the one that takes over."""
    deadline = time.monotonic() + 300
    while any(str(workspace).encode() in path.read_bytes() for path in command_lines()):
        assert time.monotonic() < deadline, "a cell outlived its study"
        time.sleep(0.05)


def command_lines() -> Iterator[Path]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield path


def results(workspace: Path, name: str = "mask-clicks") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((workspace / "studies" / name / "results.json").read_text())
    return found


def test_a_killed_study_goes_on_where_it_stopped(
    killed: dict[str, bytes], whole: list[dict[str, Any]], workspace: Path
) -> None:
    assert len(killed) == 1
    assert {"kind": "cells", "total": 4, "finished": 1} in whole
    assert all(Path(path).read_bytes() == before for path, before in killed.items())
    assert [arm["auc"]["by_seed"].count(None) for arm in results(workspace)["arms"]] == [0, 0]


def test_a_killed_training_continues_from_its_checkpoint(whole: list[dict[str, Any]]) -> None:
    """The second cell was killed in its second epoch: it does not begin with the first again."""
    first: dict[str, str] = {}
    for event in whole:
        if event["kind"] == "progress" and event["name"].startswith("train epoch"):
            first.setdefault(event["cell"], event["name"])
    assert first == {
        "inverted, seed 1": "train epoch 2",
        "right, seed 2": "train epoch 1",
        "inverted, seed 2": "train epoch 1",
    }


@pytest.mark.usefixtures("whole")
def test_the_results_say_what_was_compared_on_what(workspace: Path, data: Path) -> None:
    found = results(workspace)
    assert found["seeds"] == [1, 2]
    assert found["preset"] == "study"
    assert found["data"]["split"] == "test"
    assert found["data"]["rows"] == {"train": 1500, "used": 1500, "valid": 400, "test": 600}
    assert found["baselines"]["oracle"] > 0.9
    (comparison,) = found["comparisons"]
    assert (comparison["arm"], comparison["against"]) == ("inverted", "right")
    means = {arm["name"]: arm["auc"]["mean"] for arm in found["arms"]}
    assert comparison["difference"] == pytest.approx(means["inverted"] - means["right"])
    titles = pq.read_table(data / "item_feature.parquet", columns=["item_title"]).column(0).to_pylist()
    text = (workspace / "studies" / "mask-clicks" / "results.json").read_text()
    assert not any(title in text for title in titles if title)


@pytest.mark.usefixtures("whole")
def test_run_again_it_only_writes_the_report_anew_and_mlflow_holds_each_cell_once(workspace: Path, data: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (workspace / "cache").rglob("*") if path.is_file()}
    report = workspace / "studies" / "mask-clicks" / "results.json"
    report.unlink()
    again = mmctr(workspace, data, "mask", "--seeds", "2")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "4 of 4 cells were there already" in again.stdout
    assert results(workspace)["overrides"] == [word for word in QUICK if word != "--set"]
    assert report.is_file()
    after = {path: path.stat().st_mtime_ns for path in (workspace / "cache").rglob("*") if path.is_file()}
    assert {path for path in after if path.suffix != ".lock"} == {path for path in before if path.suffix != ".lock"}
    assert all(after[path] == before[path] for path in cells(workspace))
    assert query(workspace, "select status, count(*) from runs group by status") == [("FINISHED", 5)]
    parents = query(workspace, "select value, count(*) from tags where key = 'mlflow.parentRunId' group by value")
    assert [count for _, count in parents] == [4]


@pytest.mark.usefixtures("whole")
def test_mlflow_holds_config_curves_and_figures_of_every_cell(workspace: Path) -> None:
    keys = dict(query(workspace, "select key, count(distinct run_uuid) from params group by key"))
    assert keys["model.mask"] == keys["train.seed"] == 5
    masks = query(workspace, "select value, count(*) from params where key = 'model.mask' group by value")
    assert masks == [("inverted", 2), ("right", 3)]
    numbers = dict(query(workspace, "select key, count(distinct run_uuid) from metrics group by key"))
    assert numbers["test/auc"] == numbers["valid_auc"] == numbers["test/auc.history.5-9"] == 4


def query(workspace: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(workspace / "mlflow.db")) as database:
        return database.execute(sql).fetchall()


@pytest.mark.usefixtures("whole")
def test_cells_are_the_same_bits_whatever_the_jobs(workspace: Path, data: Path, tmp_path: Path) -> None:
    """Seed 1 of the first workspace is the work of one job, a kill, and two jobs."""
    shutil.copytree(workspace / "cache" / "study", tmp_path / "cache" / "study")
    done = mmctr(tmp_path, data, "mask", "--seeds", "1", "--jobs", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(cells(tmp_path)) == 2
    for ours in cells(tmp_path):
        theirs = workspace / "cache" / "cells" / ours.parent.name
        assert (ours.parent / "scores.npy").read_bytes() == (theirs / "scores.npy").read_bytes()


def order(of: Study, workspace: Path, data: Path, out: Path) -> Order:
    return Order(of, base(), (), StudyData(data, ROOT, "HEAD"), 1, 2, workspace, out)


def base(**train: Any) -> RunConfig:
    config = preset("study")
    return replace(config, train=replace(config.train, **{**TRAIN, **train}))


@pytest.mark.usefixtures("whole")
def test_a_failed_cell_is_named_and_the_others_are_measured(
    workspace: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    arms = (Arm("good", base()), Arm("diverging", base(learning_rate=1e30)), Arm("also good", base(max_epochs=1)))
    made = Study("made-up", "t", "q?", arms, reference="good", views=("attention",))
    outcome = run_study(order(made, workspace, data, tmp_path), lambda _: None)
    assert list(outcome.failed) == ["diverging, seed 1"]
    found = json.loads((tmp_path / "results.json").read_text())
    assert [(failed["arm"], failed["seed"]) for failed in found["failed"]] == [("diverging", 1)]
    assert "lower train.learning_rate" in found["failed"][0]["message"]
    assert [arm["name"] for arm in found["arms"] if arm["auc"] is None] == ["diverging"]
    assert found["arms"][0]["attention"]["largest_on_padding"] == 0
    assert "also good" in (tmp_path / "report.html").read_text()
    assert [(c["arm"], c["verdict"]) for c in found["comparisons"]] == [("also good", "inconclusive")]


def test_data_that_validation_refuses_stop_the_study(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "spoiled")
    (tmp_path / "spoiled" / "train.parquet").write_bytes((data / "train.parquet").read_bytes()[:2000])
    refused = mmctr(tmp_path / "workspace", tmp_path / "spoiled", "mask")
    assert refused.returncode == 1
    assert refused.stderr.startswith("mmctr: ")
    assert "train.parquet" in refused.stderr
    assert not (tmp_path / "workspace" / "studies").exists()


@pytest.mark.usefixtures("whole")
def test_an_interrupt_ends_the_cells_and_says_how_to_go_on(workspace: Path, data: Path) -> None:
    arguments = command(workspace, data, "mask", "--seeds", "1", "--set", "train.max_epochs=50")
    with subprocess.Popen(arguments, env=environment(), cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        for told in follow(workspace, process.pid):
            if "train epoch 1" in told:
                break
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "the same command goes on from there" in output
    wait_for_end_of(workspace)


def test_without_labels_in_test_the_valid_split_is_measured_and_said(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unlabelled"
    shutil.copytree(data, folder)
    pq.write_table(pq.read_table(data / "test.parquet").drop_columns(["label"]), folder / "test.parquet")
    done = mmctr(tmp_path, folder, "mask", "--seeds", "1", "--arms", "right", "--rows", "700")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "measured on valid" in done.stdout
    assert "because test has no labels" in done.stdout
    found = results(tmp_path, "mask-unlabelled")
    assert found["data"]["split"] == "valid"
    assert found["data"]["rows"]["used"] == 700
    assert found["comparisons"] == []
