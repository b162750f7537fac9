"""How much one column says of another: mutual information, over a few bins of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.statistics.auc import Ints

BINS = 8


def cuts_of(codes: Ints) -> list[int]:
    """Where to cut codes into at most `BINS` bins of about the same size; code 0, a missing value, has its own."""
    return [
        int(cut) for cut in np.unique(np.r_[1, np.quantile(codes, np.linspace(0, 1, BINS + 1)[1:-1], method="higher")])
    ]


@dataclass(frozen=True)
class Pair:
    """Two columns that depend on each other, as the statistics of a data set keep them."""

    partner: str
    cuts: Sequence[int]
    partner_cuts: Sequence[int]
    information: float  # in nats

    def lost(self, codes: Ints, partner: Ints) -> float:
        """Which share of the dependence these rows lack: 1 for columns that have nothing to do with each other."""
        return min(1.0, max(0.0, 1 - information(codes, self.cuts, partner, self.partner_cuts) / self.information))

    def as_json(self) -> dict[str, Any]:
        return vars(self).copy()


def information(first: Ints, cuts: Sequence[int], second: Ints, other_cuts: Sequence[int]) -> float:
    """Less what chance alone shows on average."""
    a, b = (np.searchsorted(edges, codes, side="right") for edges, codes in ((cuts, first), (other_cuts, second)))
    table = np.zeros((len(cuts) + 1, len(other_cuts) + 1))
    np.add.at(table, (a, b), 1)
    shares = table / max(1, len(first))
    rows, columns = shares.sum(axis=1, keepdims=True), shares.sum(axis=0, keepdims=True)
    expected = rows * columns
    filled = shares > 0
    found = float((shares[filled] * np.log(shares[filled] / expected[filled])).sum())
    chance = (int((rows > 0).sum()) - 1) * (int((columns > 0).sum()) - 1) / (2 * max(1, len(first)))
    return found - chance


def closest(columns: dict[str, Ints], least: float) -> dict[str, Pair]:
    """For each column the one that it depends on most, where that is at least `least` nats."""
    cuts = {name: cuts_of(codes) for name, codes in columns.items()}
    found: dict[str, Pair] = {}
    names = list(columns)
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            nats = information(columns[name], cuts[name], columns[other], cuts[other])
            for one, two in ((name, other), (other, name)):
                if nats >= least and (one not in found or nats > found[one].information):
                    found[one] = Pair(two, cuts[one], cuts[two], nats)
    return found
