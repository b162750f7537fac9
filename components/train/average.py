"""A moving average of the weights: validation scores it, and it is what the best epoch keeps.

The last steps of a training still move the weights to and fro. Their average lies nearer to the middle of where they
move, and so ranks rows it has not seen a little better, at no cost when the model serves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from model.ranker import Ranker


class Average:
    """The weights of every step, each weighing `decay` times as much as the next. The first steps are forgotten faster,
    or a short training would keep the random weights that it started from.
    """

    def __init__(self, ranker: Ranker, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.weights = list(ranker.parameters())
        self.means = [weight.detach().clone() for weight in self.weights]

    @torch.no_grad()
    def update(self) -> None:
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 9.0))
        for mean, weight in zip(self.means, self.weights, strict=True):
            mean.lerp_(weight, 1.0 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The ranker scores with the average inside this block, and trains on with its own weights after it."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def to_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "means": self.means}

    def restore(self, saved: dict[str, Any]) -> None:
        self.steps = saved["steps"]
        for mean, value in zip(self.means, saved["means"], strict=True):
            mean.copy_(value)

    def _swap(self) -> None:
        for index, weight in enumerate(self.weights):
            weight.data, self.means[index] = self.means[index], weight.data
