"""The training loop. All side effects (logs, checkpoints, progress) go through `watch`."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from components.batches.loader import Batch, Collator
from components.train.config import TrainConfig
from components.train.epochs import epoch_batches, in_background
from components.train.objective import Optimiser
from components.train.sampler import Sampler
from components.train.state import TrainState


class Watch(Protocol):
    def epoch(self, state: TrainState) -> AbstractContextManager[None]: ...
    def stepped(self, state: TrainState, rows: int) -> None: ...
    def validate(self, state: TrainState) -> dict[str, float]: ...
    def epoch_ended(self, state: TrainState, better: bool) -> None: ...


@dataclass(frozen=True)
class Data:
    sampler: Sampler
    collate: Collator
    ahead: bool  # prepare batches in a thread: worth it where an accelerator computes meanwhile

    def batches(self, epoch: int, first_step: int) -> Iterator[tuple[list[Batch], list[list[int]]]]:
        """What is left of an epoch: this rank's batches of each step, and every rank's sizes."""
        steps = epoch_batches(self.sampler, self.collate, epoch, first_step)
        for step, batches in in_background(steps) if self.ahead else steps:
            yield batches, self.sampler.sizes(step)


def fit(state: TrainState, data: Data, optimiser: Optimiser, config: TrainConfig, watch: Watch) -> None:
    """Trains from the position in `state` until the schedule ends."""
    while not state.finished(config):
        with watch.epoch(state):
            for batches, sizes in data.batches(state.epoch, state.step):
                loss = optimiser.step(batches, sizes)
                rows = sum(map(sum, sizes))
                state.advance(loss, rows)
                watch.stepped(state, rows)
        better = state.end_epoch(watch.validate(state), config)
        watch.epoch_ended(state, better)
