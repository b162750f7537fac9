"""A shuffle of any number of rows that needs no memory: position in, row out.

A Feistel network turns a number of 2h bits into another one, and back, whatever its round function is. So it permutes
the numbers below 4^h; those that fall on `rows` or beyond go through it again until they fall below, which leaves a
permutation of the rows. h is the smallest that fits, so that happens fewer than four times on average.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ROUNDS = 6
# The finaliser of splitmix64: each output bit depends on all input bits.
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Permutation:
    rows: int
    keys: npt.NDArray[np.uint64]  # one a round

    @classmethod
    def seeded(cls, rows: int, seed: list[int]) -> "Permutation":
        keys = np.random.default_rng(seed).integers(0, 2**64, ROUNDS, dtype=np.uint64)
        return cls(rows, keys)

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, positions: slice) -> npt.NDArray[np.int64]:
        found = self._network(np.arange(*positions.indices(self.rows), dtype=np.uint64))
        while (outside := np.flatnonzero(found >= self.rows)).size:
            found[outside] = self._network(found[outside])
        return found.astype(np.int64)

    def _network(self, numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        bits = np.uint64(max(1, (self.rows - 1).bit_length() + 1) // 2)
        mask = np.uint64((1 << int(bits)) - 1)
        left, right = numbers >> bits, numbers & mask
        for key in self.keys:
            left, right = right, left ^ (_mixed(right + key) & mask)
        return (left << bits) | right


def _mixed(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    mixed = (numbers ^ (numbers >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    last: npt.NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return last
