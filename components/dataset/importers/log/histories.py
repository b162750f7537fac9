"""What each event's user had clicked before it: whole users at a time, without a loop over events."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class UserEvents:
    """All events of some users, in the order of user and time."""

    user: Ints
    time: Ints
    item: Ints
    clicked: Bools

    def moment(self) -> Ints:
        """Numbers the moments: events of one user at one time have one number."""
        return np.cumsum(self._starts_moment()) - 1

    def _starts_moment(self) -> Bools:
        return np.concatenate([[True], (self.user[1:] != self.user[:-1]) | (self.time[1:] != self.time[:-1])])

    def histories(self, newest: int) -> tuple[Ints, Ints, Ints]:
        """(clicks, start, end): each event's history is the events `clicks[start:end]`, the oldest first.

        Only clicks of strictly earlier moments are in it, and of these the newest.
        """
        clicks = np.flatnonzero(self.clicked)
        before = np.concatenate([[0], np.cumsum(self.clicked)])  # clicks before each event, in the order of the table
        starts = np.flatnonzero(self._starts_moment())
        end = before[starts][self.moment()]
        of_user = np.searchsorted(self.user, self.user, side="left")  # the user's first event
        return clicks, np.maximum(before[of_user], end - newest), end

    def has_clicked(self) -> Callable[[Ints, Ints], Bools]:
        """A function of events and items: whether each event's user clicks the item at its moment or before."""
        width = int(self.item.max(initial=0)) + 1
        users = np.cumsum(np.concatenate([[0], self.user[1:] != self.user[:-1]]))
        # Sorted, with the first of equal pairs, so its earliest click.
        pairs, first = np.unique(users[self.clicked] * width + self.item[self.clicked], return_index=True)
        earliest = self.time[self.clicked][first]

        def ask(events: Ints, items: Ints) -> Bools:
            if not len(pairs):
                return np.zeros(len(events), np.bool_)
            place = np.minimum(np.searchsorted(pairs, users[events] * width + items), len(pairs) - 1)
            known = (items < width) & (pairs[place] == users[events] * width + items)
            return np.asarray(known & (earliest[place] <= self.time[events]))

        return ask


def gather(clicks: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """(offsets, events) of the histories `clicks[start:end]`, one after another."""
    lengths = end - start
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return offsets, clicks[np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], lengths)]
