"""Which rows a step uses: each epoch has a seeded permutation, which is cut into global batches of equal size and
distributed to the ranks.

The rows of a global batch depend on seed, epoch and step only. However many ranks and accumulation steps share it, the
union is the same, and each row is seen exactly once an epoch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.errors import StepError
from components.train.permutation import Permutation

Rows = npt.NDArray[Any]
Order = Rows | Permutation

IN_MEMORY = 50_000_000  # rows whose order is an array, of 400 MB; the order of a billion would be 8 GB on each rank


@dataclass(frozen=True)
class Sampler:
    rows: int
    batch_size: int  # global
    seed: int
    rank: int = 0
    ranks: int = 1
    accumulate: int = 1
    chosen: Rows | None = None  # numbers of the rows that take part, `rows` of them; None: all rows of the split

    def __post_init__(self) -> None:
        smallest = self.rows // self.steps if self.rows else 0
        if smallest < self.ranks * self.accumulate:
            raise StepError(
                f"{self.rows} training rows in batches of {self.batch_size} cannot be dealt to {self.ranks} ranks x "
                f"{self.accumulate} accumulation steps: raise train.batch_size, or lower train.processes, train.nodes "
                "or train.accumulate"
            )

    @property
    def steps(self) -> int:
        """Optimizer steps an epoch."""
        return max(1, -(-self.rows // self.batch_size))

    def order(self, epoch: int) -> Order:
        """The permutation of an epoch. Up to IN_MEMORY rows it is an array; beyond, each batch computes its part."""
        if self.rows > IN_MEMORY:
            return Permutation.seeded(self.rows, [self.seed, epoch])
        return np.random.default_rng([self.seed, epoch]).permutation(self.rows)

    def share(self, order: Order, step: int) -> list[Rows]:
        """This rank's rows of one global batch, one array an accumulation step.

        Batches are even (sizes differ by one at most), so no step is a tiny rest with a noisy gradient.
        """
        batch = order[step * self.rows // self.steps : (step + 1) * self.rows // self.steps]
        if self.chosen is not None:
            batch = self.chosen[batch]
        parts = self.ranks * self.accumulate
        return [batch[self.rank + self.ranks * part :: parts] for part in range(self.accumulate)]

    def sizes(self, step: int) -> list[list[int]]:
        """Rows of each rank in each accumulation step of a global batch."""
        rows = (step + 1) * self.rows // self.steps - step * self.rows // self.steps
        parts = self.ranks * self.accumulate
        return [
            [len(range(rank + self.ranks * part, rows, parts)) for rank in range(self.ranks)]
            for part in range(self.accumulate)
        ]
