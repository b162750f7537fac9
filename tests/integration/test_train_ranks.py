"""Several processes train as one does, and one that dies ends all of them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
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
NO_DROPOUT = replace(MODEL, transformer_dropout=0.0, deep_dropout=0.0)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


def curves_of(job: Job) -> dict[str, np.ndarray]:
    curves = json.loads((job.results / "curves.json").read_text())
    return {
        f"{part}/{name}": np.array([row[name] for row in curves[part]]) for part in curves for name in curves[part][0]
    }


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="bce"),
        pytest.param({"accumulate": 3}, id="accumulated"),
        pytest.param({"accumulate": 2, "embedding_l2": 1e-3}, id="accumulated-items-touched-by-both"),
        pytest.param({"pairwise_weight": 0.3}, id="pairs-across-ranks"),
        pytest.param({"embedding_l2": 1e-3}, id="items-touched-by-both"),
        pytest.param({"id_optimizer": "rowwise", "accumulate": 2, "embedding_l2": 1e-3}, id="row-wise-ids"),
    ],
)
def test_two_ranks_give_the_loss_curve_of_one(inputs: Inputs, tmp_path: Path, settings: dict[str, object]) -> None:
    curves = []
    for ranks in (1, 2):
        config = recipe(model=NO_DROPOUT, processes=ranks, **settings)
        job = written_job(inputs, config, tmp_path / f"{ranks}")
        assert run_ranks(job, ranks) == [0] * ranks
        curves.append(curves_of(job))
    assert curves[0].keys() == curves[1].keys()
    assert len(curves[0]["steps/train_loss"]) == 22
    for name, values in curves[0].items():
        np.testing.assert_allclose(curves[1][name], values, rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("weights", [(0.1, 0.2), (0.0, 0.2), (0.0, 0.0)], ids=["both", "one", "neither"])
def test_ranks_train_with_content_as_a_guide(inputs: Inputs, tmp_path: Path, weights: tuple[float, float]) -> None:
    model = replace(NO_DROPOUT, content=("concat", "align", "distil"))
    config = recipe(model=model, processes=2, align_weight=weights[0], distil_weight=weights[1], max_epochs=1)
    job = written_job(inputs, config, tmp_path)
    assert run_ranks(job, 2) == [0, 0]
    assert np.isfinite(curves_of(job)["steps/train_loss"]).all()


@pytest.mark.parametrize("id_optimizer", ["adam", "rowwise"])
@pytest.mark.parametrize("accumulate", [2, 4])
def test_accumulated_steps_are_those_of_the_whole_batch(
    inputs: Inputs, tmp_path: Path, accumulate: int, id_optimizer: str
) -> None:
    losses = []
    for parts in (1, accumulate):
        config = recipe(model=NO_DROPOUT, accumulate=parts, id_optimizer=id_optimizer)
        job = written_job(inputs, config, tmp_path / f"{parts}")
        run_ranks(job)
        losses.append(curves_of(job)["steps/train_loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=0, atol=1e-5)


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


def test_the_wrong_number_of_processes_is_refused(inputs: Inputs, tmp_path: Path) -> None:
    job = written_job(inputs, recipe(processes=3, launcher="torchrun"), tmp_path)
    assert run_ranks(job, 2) == [2, 2]
    assert "2 processes were started" in json.loads((job.folder / "failure.json").read_text())["message"]


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
