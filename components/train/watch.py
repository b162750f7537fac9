"""The side effects of a training: progress, curves, the best weights so far, checkpoints."""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np

from components.batches.rows import RowStore
from components.batches.scoring import score
from components.errors import StepError
from components.process.children import Tail
from components.process.progress import Progress, progress
from components.statistics.auc import auc
from components.statistics.calibration import log_loss
from components.train.job import Job
from components.train.ranks import Ranks
from components.train.snapshots import Snapshots
from components.train.state import BEFORE_THE_FIRST, TrainState

OnMetrics = Callable[[int, dict[str, float]], None]

REPORTS_AN_EPOCH = 20
CLOCK_EVERY = 16  # steps between two readings of the clock: with several ranks each reading is a broadcast
VALID_BATCH = 4096


def hand_on(metrics: Tail, on_metrics: OnMetrics) -> None:
    """Metrics from processes that have no other way back: they append lines to a file, read here as they come."""
    for report in metrics.events():
        on_metrics(report["step"], report["metrics"])


@dataclass
class TrainingWatch:
    job: Job
    ranks: Ranks
    train_rows: int
    steps_an_epoch: int
    valid: RowStore
    snapshots: Snapshots
    on_metrics: OnMetrics
    leaving: bool = False  # this process was asked to end: after a checkpoint it does
    _bar: Progress | None = None
    _saved_at: float = field(default_factory=time.monotonic)
    _ticked_at: float = 0.0
    _reported: tuple[float, int] = (0.0, 0)  # seconds and rows of the state at the last report

    @contextmanager
    def epoch(self, state: TrainState) -> Iterator[None]:
        self._ticked_at = time.monotonic()
        self._reported = (state.seconds, state.rows)
        bar = (
            progress(f"train epoch {state.epoch + 1}", self.train_rows, "samples")
            if self.ranks.first
            else nullcontext()
        )
        with bar as self._bar:
            if self._bar is not None:
                self._bar.done = state.rows
            yield
        self._tick(state)

    def stepped(self, state: TrainState, rows: int) -> None:
        if self._bar is not None:
            self._bar.advance(rows)
        if state.step % max(1, self.steps_an_epoch // REPORTS_AN_EPOCH) == 0:
            self._report(state)
        if self._checkpoint_due(state):
            self._checkpoint(state)
        if self.ranks.count == 1 or state.total_steps % CLOCK_EVERY == 0:
            self._leave_if_asked(state)

    def validate(self, state: TrainState) -> dict[str, float]:
        """Exact: every rank scores its part, the metrics are computed over all rows."""
        self.ranks.share_buffers(state.ranker)
        mine = np.arange(self.ranks.rank, len(self.valid), self.ranks.count)
        scores = []
        for first in range(0, math.ceil(len(self.valid) / self.ranks.count), VALID_BATCH):
            self._leave_if_asked(state)
            part = mine[first : first + VALID_BATCH]
            with state.with_kept_weights():
                scores.append(score(state.ranker, self.valid, VALID_BATCH, self.ranks.device, part))
        probabilities = self.ranks.gather(np.concatenate(scores))
        labels = self.ranks.gather(self.valid.label[mine])
        if not np.isfinite(probabilities).all():
            raise StepError(f"epoch {state.epoch}: the model gives scores that are not finite; {_REMEDY}")
        return {"auc": auc(labels, probabilities), "log_loss": log_loss(labels, probabilities)}

    def champion_validated(self, state: TrainState) -> None:
        """Before the first epoch of a start from the champion: its own AUC on valid is the first to beat.

        So a training that makes it worse keeps the weights that it started from.
        """
        if "champion" in state.curves:
            return  # continued from a checkpoint
        valid = self.validate(state)
        state.plateau.update(valid["auc"], BEFORE_THE_FIRST)
        state.curves["champion"] = [{f"valid_{name}": value for name, value in valid.items()}]
        if self.ranks.first:
            with state.with_kept_weights():
                state.best_sha256 = self.job.save_best(state.ranker, BEFORE_THE_FIRST)

    def epoch_ended(self, state: TrainState, better: bool) -> None:
        row = state.curves["epochs"][-1]
        _check_finite(row["train_loss"], state)
        if self.ranks.first:
            if better:
                with state.with_kept_weights():
                    state.best_sha256 = self.job.save_best(state.ranker, state.plateau.best_epoch)
            self.on_metrics(state.total_steps, {name: value for name, value in row.items() if name != "step"})
        self._checkpoint(state)

    def _report(self, state: TrainState) -> None:
        row = state.report()
        _check_finite(row["train_loss"], state)
        self._tick(state)
        seconds, rows = state.seconds - self._reported[0], state.rows - self._reported[1]
        self._reported = (state.seconds, state.rows)
        state.curves["steps"].append({"step": state.total_steps, **row})
        if self.ranks.first:
            self.on_metrics(state.total_steps, {**row, "samples_per_second": rows / max(seconds, 1e-9)})

    def _tick(self, state: TrainState) -> None:
        """Counts the time spent in epochs; scoring the valid split is no training time."""
        now = time.monotonic()
        state.seconds += now - self._ticked_at
        self._ticked_at = now

    def _checkpoint_due(self, state: TrainState) -> bool:
        config = self.job.recipe.train
        if config.checkpoint_steps and state.total_steps % config.checkpoint_steps == 0:
            return True
        if state.total_steps % CLOCK_EVERY and self.ranks.count > 1:
            return False
        late = self.ranks.first and time.monotonic() - self._saved_at > 60 * config.checkpoint_minutes
        return self.ranks.any(late)

    def _leave_if_asked(self, state: TrainState) -> None:
        """Ends the training with a checkpoint, on all ranks, because the pod of one of them must go."""
        if self.ranks.any(self.leaving):
            self._checkpoint(state)
            raise SystemExit(128 + signal.SIGTERM)

    def _checkpoint(self, state: TrainState) -> None:
        saved = state.to_dict(self.ranks)
        if self.ranks.first:
            self.snapshots.write(state.total_steps, saved)
        self._saved_at = time.monotonic()


_REMEDY = "lower train.learning_rate, or use train.precision=float32"


def _check_finite(loss: float, state: TrainState) -> None:
    if not math.isfinite(loss):
        raise StepError(f"step {state.total_steps}: the loss is {loss}; {_REMEDY}")
