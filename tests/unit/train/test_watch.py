"""When a training reports, when it writes a checkpoint, and how it leaves."""

import math
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

from components.batches.scoring import score
from components.errors import StepError
from components.train import worker
from components.train.epochs import epoch_batches, in_background
from components.train.job import Job
from components.train.ranks import Ranks
from components.train.sampler import Sampler
from components.train.snapshots import Snapshots
from components.train.state import TrainState
from components.train.watch import TrainingWatch
from tests.tiny_training import recipe

ONE = Ranks(0, 1, torch.device("cpu"))
Reports = list[tuple[int, dict[str, float]]]


@pytest.fixture
def job(shared_job: Job) -> Job:
    return shared_job


def watched(job: Job, folder: Path, steps_an_epoch: int = 11, **config: Any) -> tuple[TrainState, Any, Reports]:
    job = Job(job.folder, recipe(**config), job.train_rows, job.valid_rows, job.item_table, job.start)
    state, _ = worker.build(job, ONE)
    reports: Reports = []
    train, valid = job.rows()

    def report(step: int, metrics: dict[str, float]) -> None:
        reports.append((step, metrics))

    return state, TrainingWatch(job, ONE, len(train), steps_an_epoch, valid, Snapshots(folder), report), reports


def step(state: TrainState, watch: Any, loss: float = 0.5) -> None:
    state.advance(torch.tensor(loss), 10)
    watch.stepped(state, 10)


def saved_steps(folder: Path) -> list[int]:
    return [int(path.name.partition("-")[0]) for path in sorted(folder.glob("*.pt"))]


@pytest.mark.parametrize(("steps_an_epoch", "first", "second"), [(100, 5, 10), (11, 1, 2), (39, 1, 2), (40, 2, 4)])
def test_an_epoch_reports_twenty_times_or_every_step(
    job: Job, tmp_path: Path, steps_an_epoch: int, first: int, second: int
) -> None:
    state, watch, reports = watched(job, tmp_path / "kept", steps_an_epoch)
    for _ in range(second):
        step(state, watch)
    assert [at for at, _ in reports] == [first, second]
    assert [row["step"] for row in state.curves["steps"]] == [first, second]
    assert state.curves["steps"][0]["train_loss"] == 0.5
    assert reports[0][1].keys() == {"train_loss", "learning_rate", "samples_per_second"}


def test_samples_a_second_are_rows_over_the_seconds_since_the_last_report(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    state, watch, reports = watched(job, tmp_path / "kept")
    with watch.epoch(state):
        for seconds in (2.0, 5.0):
            clock[0] += seconds
            step(state, watch)
        clock[0] += 1.0
    assert [metrics["samples_per_second"] for _, metrics in reports] == [5.0, 2.0]
    assert state.seconds == 8.0
    clock[0] += 50.0  # the valid split is scored
    with watch.epoch(state):
        clock[0] += 1.0
    assert state.seconds == 9.0


def test_checkpoints_come_every_so_many_steps(job: Job, tmp_path: Path) -> None:
    state, watch, _ = watched(job, tmp_path / "kept", checkpoint_steps=3, checkpoint_minutes=1e6)
    for _ in range(7):
        step(state, watch)
    assert saved_steps(tmp_path / "kept") == [3, 6]


def test_checkpoints_come_after_so_many_minutes(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    state, watch, _ = watched(job, tmp_path / "kept", checkpoint_minutes=2.0)
    watch._saved_at = 100.0
    for now, saved in ((219.0, []), (220.0, []), (221.0, [3]), (340.0, [3]), (342.0, [3, 5])):
        clock[0] = now
        step(state, watch)
        assert saved_steps(tmp_path / "kept") == saved, now


def test_a_training_that_must_leave_writes_a_checkpoint_first(job: Job, tmp_path: Path) -> None:
    state, watch, _ = watched(job, tmp_path / "kept", checkpoint_minutes=1e6)
    step(state, watch)
    watch.leaving = True
    with pytest.raises(SystemExit) as left:
        step(state, watch)
    assert left.value.code == 143, "as if SIGTERM had ended it"
    assert saved_steps(tmp_path / "kept") == [2]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_training_at_once(job: Job, tmp_path: Path, loss: float) -> None:
    state, watch, _ = watched(job, tmp_path / "kept")
    with pytest.raises(StepError, match=r"step 1: the loss is (nan|inf); lower train\.learning_rate"):
        step(state, watch, loss)


def test_scores_that_are_no_numbers_end_training(job: Job, tmp_path: Path) -> None:
    state, watch, _ = watched(job, tmp_path / "kept")
    with torch.no_grad():
        state.ranker.item_encoder.id.weight.fill_(math.nan)
    with pytest.raises(StepError, match="the model gives scores that are not finite"):
        watch.validate(state)


def test_validation_is_over_all_rows(job: Job, tmp_path: Path) -> None:
    state, watch, _ = watched(job, tmp_path / "kept")
    valid = job.rows()[1]
    scores = score(state.ranker, valid)
    assert watch.validate(state) == pytest.approx(
        {"auc": roc_auc_score(valid.label, scores), "log_loss": log_loss(valid.label, scores)}, rel=1e-5
    )


def test_only_a_better_epoch_replaces_the_best_weights(job: Job, tmp_path: Path) -> None:
    state, watch, reports = watched(job, tmp_path / "kept")
    step(state, watch)
    watch.epoch_ended(state, state.end_epoch({"auc": 0.7}, job.recipe.train))
    first = state.best_sha256
    assert job.holds_best(0, first)
    assert reports[-1] == (1, {"epoch": 0, "learning_rate": 5e-3, "train_loss": 0.5, "valid_auc": 0.7})
    with torch.no_grad():
        state.ranker.item_encoder.id.weight.add_(1)
    step(state, watch)
    watch.epoch_ended(state, state.end_epoch({"auc": 0.6}, job.recipe.train))
    assert state.best_sha256 == first
    step(state, watch)
    watch.epoch_ended(state, state.end_epoch({"auc": 0.8}, job.recipe.train))
    assert state.best_sha256 != first
    assert job.holds_best(2, state.best_sha256)
    assert not job.holds_best(2, first)
    assert saved_steps(tmp_path / "kept") == [2, 3], "each epoch ends with a checkpoint"
    step(state, watch)
    watch.epoch_ended(state, state.end_epoch({"auc": 0.9}, job.recipe.train))
    kept = sorted(path.name for path in job.folder.glob("best-*"))
    assert kept == ["best-000003.safetensors", "best-000004.safetensors"], "the two that the checkpoints name"


def test_an_epoch_goes_on_with_the_step_it_was_at() -> None:
    sampler = Sampler(100, 30, seed=1, accumulate=2)
    order = sampler.order(2)
    taken = list(epoch_batches(sampler, lambda rows: rows, 2, first_step=2))  # type: ignore[arg-type]
    assert [number for number, _ in taken] == [2, 3]
    found = np.concatenate([part for _, parts in taken for part in parts])
    np.testing.assert_array_equal(np.sort(found), np.sort(order[50:]))
    assert [len(parts) for _, parts in taken] == [2, 2]


def test_a_thread_ahead_hands_over_everything_in_order_and_errors_as_well() -> None:
    assert list(in_background(iter(range(50)))) == list(range(50))

    def broken() -> Any:
        yield 1
        raise ValueError("the third row")

    reader = in_background(broken())
    assert next(reader) == 1
    with pytest.raises(ValueError, match="the third row"):
        next(reader)


def test_a_reader_that_leaves_stops_the_thread() -> None:
    made: list[int] = []

    def endless() -> Any:
        while True:
            made.append(len(made))
            yield made[-1]

    reader: Any = in_background(endless())
    assert [next(reader), next(reader)] == [0, 1]
    (loader,) = [thread for thread in threading.enumerate() if thread.name == "loader"]
    assert loader.daemon, "a process whose training failed would wait for it for ever"
    deadline = time.monotonic() + 300
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.15)
    assert len(made) == 5, "two were read, two lie ready, and one is in hand"
    reader.close()
    assert not loader.is_alive()
    assert len(made) <= 6, "it may have begun one more"
