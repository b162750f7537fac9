"""What each event's user had clicked before it: whole users at a time, without a loop over events."""

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

    def has_clicked(self, events: Ints, items: Ints) -> Bools:
        """Whether the user of each of these events clicks the item at its moment or before."""
        width = int(max(self.item.max(initial=0), items.max(initial=0))) + 1
        users = np.cumsum(np.concatenate([[0], self.user[1:] != self.user[:-1]]))
        keys = users[self.clicked] * width + self.item[self.clicked]
        pairs, first = np.unique(keys, return_index=True)  # the first of each pair, so its earliest click
        if not len(pairs):
            return np.zeros(len(events), np.bool_)
        asked = users[events] * width + items
        place = np.minimum(np.searchsorted(pairs, asked), len(pairs) - 1)
        earliest = self.time[self.clicked][first]
        return np.asarray((pairs[place] == asked) & (earliest[place] <= self.time[events]))


def gather(clicks: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """(offsets, events) of the histories `clicks[start:end]`, one after another."""
    lengths = end - start
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths) + np.repeat(start, lengths)
    return offsets, clicks[place]
