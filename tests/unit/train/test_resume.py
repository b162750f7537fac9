"""A training that was broken off goes on from its newest checkpoint, and never with weights that were damaged."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from components.artifacts import Artifacts
from components.errors import StepError
from components.train import worker
from components.train.job import Job
from tests.forked_ranks import results_of
from tests.tiny_training import recipe, write_inputs, written_job

CONFIG = recipe(checkpoint_steps=5, max_epochs=3, patience=3)  # 11 steps an epoch, each is reported


class BrokenOffError(Exception):
    pass


def break_off(at: int) -> Callable[..., None]:
    def report(step: int, _: dict[str, float]) -> None:
        if step == at:
            raise BrokenOffError

    return report


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def whole(inputs: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The results of an undisturbed training."""
    job = written_job(inputs, CONFIG, tmp_path_factory.mktemp("whole"))
    worker.run(job, lambda *_: None)
    return results_of(job)


@pytest.fixture
def broken(inputs: Artifacts, tmp_path: Path) -> Job:
    """Broken off at step 17, in its second epoch."""
    job = written_job(inputs, CONFIG, tmp_path)
    with pytest.raises(BrokenOffError):
        worker.run(job, break_off(17))
    return job


def continued(job: Job) -> list[int]:
    """The steps that a second process reports."""
    steps: list[int] = []
    worker.run(job, lambda step, _: steps.append(step))
    return steps


def test_it_goes_on_from_its_newest_checkpoint_and_ends_as_if_nothing_had_happened(
    broken: Job, whole: dict[str, bytes]
) -> None:
    assert continued(broken)[0] == 16, "the newest checkpoint is that of step 15"
    assert results_of(broken) == whole
    assert not list(broken.folder.glob("best-*"))
    assert not list((broken.folder / "snapshots").iterdir())


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_with_damaged_best_weights_it_starts_from_the_beginning(
    broken: Job, whole: dict[str, bytes], damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    (best,) = broken.folder.glob("best-*")
    if damage == "missing":
        best.unlink()
    else:
        best.write_bytes(best.read_bytes()[:-1] + b"\xff")
    with caplog.at_level(logging.WARNING):
        assert continued(broken)[0] == 1
    assert f"{best} is missing or damaged" in caplog.text
    assert results_of(broken) == whole


def test_without_a_good_checkpoint_it_starts_from_the_beginning_and_keeps_its_new_ones(
    broken: Job, whole: dict[str, bytes]
) -> None:
    for snapshot in (broken.folder / "snapshots").iterdir():
        snapshot.write_bytes(b"noise")
    with pytest.raises(BrokenOffError):
        worker.run(broken, break_off(7))
    assert continued(broken)[0] == 6, "the checkpoint of step 5 was not pushed out by older ones of later steps"
    assert results_of(broken) == whole


def test_best_weights_that_are_damaged_meanwhile_are_not_published(
    inputs: Artifacts, whole: dict[str, bytes], tmp_path: Path
) -> None:
    job = written_job(inputs, CONFIG, tmp_path)

    def damage(step: int, metrics: dict[str, float]) -> None:
        if "valid_auc" in metrics and step == 33:
            for best in job.folder.glob("best-*"):
                best.write_bytes(best.read_bytes()[:-1] + b"\xff")

    with pytest.raises(StepError, match="was damaged while the training ran: run again"):
        worker.run(job, damage)
    assert not job.finished
    assert continued(job)[0] == 1
    assert results_of(job) == whole
