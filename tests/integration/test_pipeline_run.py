"""The whole pipeline, as a user runs it: `mmctr run` in processes of their own, on a small data set."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from components.dataset.sample import SIZES, write_sample
from tests.local_run import query, walk

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_sample(folder, SIZES["tiny"])
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


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


def test_a_gate_that_fails_has_an_exit_status_of_its_own(workspace: Path, data: Path) -> None:
    failed = walk(workspace, data, "--set", "gate.auc_floor=0.999")
    assert failed.returncode == 3, failed.stdout + failed.stderr
    assert "gate       fail: nothing is registered" in failed.stdout
