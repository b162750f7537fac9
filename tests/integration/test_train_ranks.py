"""Processes of a training under torchrun or in a pod: one that dies ends all of them, none outlives the step."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components.artifacts import Artifacts
from components.errors import StepError
from components.train.job import Job
from components.train.launch import torchrun
from components.train.step import train
from components.train.worker import NEEDS_A_PERSON
from tests.forked_ranks import results_of, run_ranks
from tests.tiny_training import MODEL, recipe, write_inputs, written_job

pytestmark = pytest.mark.integration

Inputs = Artifacts


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


def test_a_rank_that_dies_ends_the_job_which_continues_from_its_checkpoint(
    inputs: Inputs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = recipe(launcher="torchrun", processes=2, checkpoint_steps=5, max_epochs=6, patience=6)
    whole, broken = written_job(inputs, config, tmp_path / "whole"), written_job(inputs, config, tmp_path / "broken")
    assert run_ranks(whole, 2) == [0, 0]
    killed: list[int] = []

    def kill_one(step: int, metrics: dict[str, float]) -> None:  # noqa: ARG001
        if not killed and step >= 10:
            killed.append(ranks_of(broken)[1])
            os.kill(killed[0], signal.SIGKILL)

    with caplog.at_level("INFO", logger="components.train.launch"):
        torchrun(broken, kill_one)
    assert killed
    assert "(attempt 1 of 4)" in caplog.text
    assert "continuing after step" in caplog.text
    assert results_of(broken) == results_of(whole)


def test_no_process_outlives_the_step(inputs: Inputs, tmp_path: Path) -> None:
    endless = recipe(launcher="torchrun", processes=2, max_epochs=100_000, patience=100_000)
    job = written_job(inputs, endless, tmp_path)
    script = (
        "import sys; from pathlib import Path; from components.train.job import open_job;"
        "from components.train.launch import torchrun; torchrun(open_job(Path(sys.argv[1])), lambda *_: None)"
    )
    step = subprocess.Popen([sys.executable, "-c", script, str(job.folder)], stderr=subprocess.DEVNULL)
    _wait(lambda: job.metrics.is_file(), step)
    assert len(ranks_of(job)) == 2
    step.kill()
    step.wait()
    _wait(lambda: not ranks_of(job), None)


def test_a_reason_that_needs_a_person_is_not_tried_again(inputs: Inputs, tmp_path: Path) -> None:
    config = recipe(launcher="torchrun", processes=2, learning_rate=1e30, gradient_clip=0.0)
    with pytest.raises(StepError, match=r"lower train\.learning_rate"):
        train(inputs, config, tmp_path / "work", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        pytest.param({}, 0, id="finished"),
        pytest.param({"learning_rate": 1e30, "gradient_clip": 0.0}, NEEDS_A_PERSON, id="a-person-must-act"),
    ],
)
def test_a_pod_with_two_processes_ends_with_their_exit_code(
    inputs: Inputs, tmp_path: Path, settings: dict[str, float], code: int
) -> None:
    job = written_job(inputs, recipe(MODEL, launcher="trainjob", processes=2, **settings), tmp_path)
    environment = {**os.environ, "PET_NNODES": "1", "PET_NPROC_PER_NODE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "components.train.pod", "--job", str(job.folder)]
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == code
    assert job.finished == (code == 0)


def test_a_job_that_keeps_dying_ends_with_its_last_words(inputs: Inputs, tmp_path: Path) -> None:
    job = written_job(inputs, recipe(launcher="torchrun", processes=2, restarts=0), tmp_path)
    (job.folder / "job.json").write_text('{"recipe": 1}')
    with pytest.raises(StepError, match=r"(?s)failed 1 times; the last lines of its output:.*job\.py"):
        torchrun(job, lambda *_: None)


def ranks_of(job: Job) -> list[int]:
    """Process ids of the job's workers, without their torchrun."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:  # it ended meanwhile
            continue
        if str(job.folder).encode() in command and b"torch.distributed.run" not in command and b"-c" not in command:
            found.append(int(entry.name))
    return sorted(found)


def _wait(condition: Callable[[], bool], process: "subprocess.Popen[bytes] | None", seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        assert process is None or process.poll() is None, "the step ended by itself"
        time.sleep(0.1)
