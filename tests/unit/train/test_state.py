"""The state of a training: the learning rate at its limits, the curves, and that a saved state comes back complete."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from components.train import worker
from components.train.job import Job
from components.train.loop import fit
from components.train.ranks import Ranks
from components.train.snapshots import Snapshots
from components.train.state import TrainState
from components.train.watch import TrainingWatch
from tests.tiny_training import MODEL, TRAIN, newest_of, recipe

ONE = Ranks(0, 1, torch.device("cpu"))


@pytest.fixture
def job(shared_job: Job) -> Job:
    return shared_job


@pytest.fixture
def state(job: Job) -> TrainState:
    return worker.build(job, ONE)[0]


def rates(state: TrainState) -> list[float]:
    return [group["lr"] for optimizer in state.optimizers for group in optimizer.param_groups]


def test_losses_are_means_over_rows_since_the_last_report_and_over_the_epoch(state: TrainState) -> None:
    """Batches of 10, 30 and 5 rows with losses 1, 2 and 4."""
    state.advance(torch.tensor(1.0), 10)
    state.advance(torch.tensor(2.0), 30)
    assert state.report() == {"train_loss": (10 + 60) / 40, "learning_rate": TRAIN.learning_rate}
    state.advance(torch.tensor(4.0), 5)
    assert state.report()["train_loss"] == pytest.approx(4.0)
    assert (state.rows, state.step, state.total_steps, state.epoch) == (45, 3, 3, 0)
    assert state.report()["train_loss"] == 0.0, "nothing happened since"
    assert state.end_epoch({"auc": 0.7, "log_loss": 0.5}, TRAIN)
    trained = {"epoch": 0, "step": 3, "learning_rate": TRAIN.learning_rate, "train_loss": pytest.approx(90 / 45)}
    assert state.curves["epochs"] == [{**trained, "valid_auc": 0.7, "valid_log_loss": 0.5}]
    assert (state.epoch, state.step, state.rows, state.total_steps) == (1, 0, 0, 3)
    state.advance(torch.tensor(3.0), 2)
    assert state.report()["train_loss"] == 3.0, "the second epoch starts from nothing"
    state.end_epoch({"auc": 0.6}, TRAIN)
    assert [row["train_loss"] for row in state.curves["epochs"]] == [2.0, 3.0]


def test_the_rate_falls_only_without_a_gain_and_no_lower_than_its_floor(state: TrainState) -> None:
    for auc, rate in ((0.7, 5e-3), (0.7, 5e-4), (0.8, 5e-4), (0.75, 5e-5), (0.75, 5e-6), (0.75, 1e-6), (0.75, 1e-6)):
        state.end_epoch({"auc": auc}, TRAIN)
        assert rates(state) == pytest.approx([rate]), auc
    assert (state.plateau.best, state.plateau.best_epoch, state.plateau.stale_epochs) == (0.8, 2, 4)


def test_a_rate_that_starts_below_the_floor_stays(state: TrainState) -> None:
    state.optimizers[0].param_groups[0]["lr"] = 1e-7
    state.plateau.best = 1.0
    state.end_epoch({"auc": 0.5}, TRAIN)
    assert rates(state) == [1e-7]


@pytest.mark.parametrize(
    ("epoch", "stale", "finished"), [(0, 0, False), (9, 2, False), (10, 0, True), (0, 3, True), (11, 4, True)]
)
def test_training_ends_with_its_epochs_or_its_patience(
    state: TrainState, epoch: int, stale: int, finished: bool
) -> None:
    state.epoch, state.plateau.stale_epochs = epoch, stale
    assert state.finished(recipe(max_epochs=10, patience=3).train) is finished


class StoppedError(Exception):
    pass


class StoppingWatch(TrainingWatch):
    """Ends the process after so many steps, as a kill does."""

    def stepped(self, state: TrainState, rows: int) -> None:
        super().stepped(state, rows)
        if state.total_steps == 16:
            raise StoppedError


def trained(job: Job, snapshots: Path, *, stop: bool) -> TrainState:
    """From the newest snapshot, if there is one; 2 epochs of 11 steps, a snapshot every 3."""
    config = recipe(checkpoint_steps=3).train
    job = replace(job, recipe=recipe(MODEL, checkpoint_steps=3))
    rows, valid = job.rows()
    state, optimiser = worker.build(job, ONE)
    data = worker.data_of(job, ONE, rows, state.ranker)
    kept = Snapshots(snapshots)
    kind = StoppingWatch if stop else TrainingWatch
    watch = kind(job, ONE, len(rows), data.sampler.steps, valid, kept, lambda *_: None)
    if saved := newest_of(kept):
        state.restore(saved, ONE)
    fit(state, data, optimiser, config, watch)
    return state


def test_a_training_that_went_on_from_a_snapshot_is_the_same_bit_for_bit(job: Job, tmp_path: Path) -> None:
    whole = trained(job, tmp_path / "whole", stop=False)
    with pytest.raises(StoppedError):
        trained(job, tmp_path / "broken", stop=True)
    begun = newest_of(Snapshots(tmp_path / "broken"))
    assert begun is not None
    assert (begun["total_steps"], begun["epoch"], begun["step"], begun["rows"]) == (15, 1, 4, whole_rows(job, 4))
    assert begun["best_sha256"] == whole.best_sha256 or begun["plateau"]["best_epoch"] == 0
    torch.rand(7)  # a process that starts anew has another state of the generator
    broken = trained(job, tmp_path / "broken", stop=False)
    assert same(broken.ranker.state_dict(), whole.ranker.state_dict())
    assert same(broken.optimizers[0].state_dict()["state"], whole.optimizers[0].state_dict()["state"])
    assert broken.curves == whole.curves
    assert broken.plateau == whole.plateau
    assert (broken.total_steps, broken.epoch, broken.best_sha256) == (22, 2, whole.best_sha256)
    assert broken.seconds > begun["seconds"], "the seconds of all restarts are added up"


def whole_rows(job: Job, steps: int) -> int:
    """698 rows in 11 even batches."""
    return steps * len(job.rows()[0]) // 11


def same(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor):
        return bool(torch.equal(left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def test_the_item_table_is_in_no_snapshot(state: TrainState) -> None:
    saved = state.to_dict(ONE)
    assert not [name for name in saved["ranker"] if name.startswith("table.")]
    assert len(saved["generators"]) == 1
