"""Items that a user was not shown and might have been: negatives for a log that holds clicks alone.

A policy names a pool of items as it was strictly before the click's own moment:

    uniform   each item that had occurred in the log, with the same chance
    popular   the item of a click of anybody, drawn from all clicks so far: an item's chance grows with its clicks
    recent    the same among the newest 5,000 clicks so far

No negative is an item that the user has clicked by then or clicks at that moment, and no two of a moment are equal.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

RECENT = 5_000  # clicks of all users
POLICIES = ("uniform", "popular", "recent")
_TRIES = 50  # a negative is left out after so many draws without success


@dataclass(frozen=True)
class Pools:
    """The whole log as the policies see it, in the order of time."""

    items: Ints  # each item, by when it first occurred
    first: Ints  # that moment
    clicked: npt.NDArray[np.int32]  # the item of each click; may be a map of a file
    clicked_at: Ints

    def draw(self, policy: str, moments: Ints, rng: np.random.Generator) -> Ints:
        """An item for each moment, 0 where the pool is empty."""
        source, times = (self.items, self.first) if policy == "uniform" else (self.clicked, self.clicked_at)
        end = np.searchsorted(times, moments, side="left")
        start = np.maximum(end - RECENT, 0) if policy == "recent" else np.zeros_like(end)
        place = start + (rng.random(len(moments)) * (end - start)).astype(np.int64)
        drawn = np.zeros(len(moments), np.int64)
        drawn[end > 0] = source[place[end > 0]]
        return drawn


def draw_negatives(
    policies: tuple[str, ...],
    pools: Pools,
    groups: Ints,
    moments: Ints,
    clicked: Callable[[Ints, Ints], Bools],
    rng: np.random.Generator,
) -> tuple[Ints, Ints]:
    """(row, item) of the negatives of these rows, one for each policy where there is one, in the order of the rows.

    `groups` numbers the rows' users and moments: rows of one group get different items. `clicked` says of rows and
    items whether the row's user had clicked the item by the row's moment.
    """
    width = int(pools.items.max(initial=0)) + 1
    found_rows, found_items = [], []
    taken = np.zeros(0, np.int64)  # group and item as one number, sorted
    for policy in policies:
        waiting = np.arange(len(groups))
        later = np.zeros(0, np.int64)  # what the tries after the first one took: short, so quickly sorted again
        for attempt in range(_TRIES):
            items = pools.draw(policy, moments[waiting], rng)
            keys = groups[waiting] * width + items
            _, first = np.unique(keys, return_index=True)
            good = np.zeros(len(waiting), np.bool_)
            good[first] = True
            good &= (items > 0) & ~_holds(taken, keys) & ~_holds(later, keys) & ~clicked(waiting, items)
            found_rows.append(waiting[good])
            found_items.append(items[good])
            if attempt:
                later = _with(later, keys[good])
            else:
                taken = _with(taken, keys[good])
            waiting = waiting[~good]
            if not len(waiting):
                break
        taken = _with(taken, later)
    empty = np.zeros(0, np.int64)
    rows, items = np.concatenate([empty, *found_rows]), np.concatenate([empty, *found_items])
    order = np.argsort(rows, kind="stable")
    return rows[order], items[order]


def _with(values: Ints, more: Ints) -> Ints:
    """Both in one sorted array. They have no number in common, so none has to be looked for: np.union1d, which does,
    took 70% of an import's time with NumPy 2.4.
    """
    return np.sort(np.concatenate([values, more]))


def _holds(values: Ints, asked: Ints) -> Bools:
    """Which of these numbers a sorted array holds."""
    place = np.minimum(np.searchsorted(values, asked), max(len(values) - 1, 0))
    return values[place] == asked if len(values) else np.zeros(len(asked), np.bool_)
