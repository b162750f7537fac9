"""What becomes of a training whose processes end: it is done, it starts again from its checkpoint, or a person must
act. torchrun itself is left out here; tests/integration/test_train_ranks.py runs it.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from components.artifacts import Artifacts
from components.errors import StepError
from components.train import launch
from components.train.job import Job
from tests.tiny_training import recipe, written_job

End = Callable[[Job], int]


def done(job: Job) -> int:
    job.results.mkdir()
    return 0


def dies(_: Job) -> int:
    return 1


def ends_without_results(_: Job) -> int:
    return 0


def asks_for_a_person(job: Job) -> int:
    (job.folder / "failure.json").write_text(json.dumps({"message": "step 9: the loss is nan"}))
    return 2


@pytest.fixture
def job(inputs: Artifacts, tmp_path: Path) -> Job:
    return written_job(inputs, recipe(launcher="torchrun", restarts=2), tmp_path / "work")


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[End]:
    """The ends that processes are going to have; each start takes one of them."""
    ends: list[End] = []
    monkeypatch.setattr(launch, "_run_torchrun", lambda job, _: (ends.pop(0)(job), ["the last line"]))
    return ends


@pytest.mark.parametrize("ends", [[done], [dies, done], [dies, dies, done], [ends_without_results, done]])
def test_a_training_starts_again_until_it_is_done(job: Job, tried: list[End], ends: list[End]) -> None:
    tried += ends
    launch.torchrun(job, lambda *_: None)
    assert tried == []


@pytest.mark.parametrize("end", [dies, ends_without_results])
def test_it_is_given_up_on_after_its_restarts(job: Job, tried: list[End], end: End) -> None:
    tried += [end] * 4
    with pytest.raises(StepError, match=r"(?s)training failed 3 times; .*the last line"):
        launch.torchrun(job, lambda *_: None)
    assert len(tried) == 1


def test_what_a_person_must_mend_ends_it_at_once(job: Job, tried: list[End]) -> None:
    tried += [dies, asks_for_a_person, done]
    with pytest.raises(StepError, match=r"^step 9: the loss is nan$"):
        launch.torchrun(job, lambda *_: None)
    assert tried == [done]


def test_the_reason_of_an_earlier_command_is_forgotten(job: Job, tried: list[End]) -> None:
    asks_for_a_person(job)
    tried += [dies, done]
    launch.torchrun(job, lambda *_: None)
    assert tried == []
