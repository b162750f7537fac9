"""From a log of clicks to rows: what each user had clicked before, and what else they might have clicked."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.layout import MAX_HISTORY
from components.progress import progress

Ints = npt.NDArray[np.int64]

HISTORY = 50  # newest clicks a row keeps
RECENT = 5_000  # clicks of all users that recent popularity is drawn from
_TRIES = 50  # draws for one negative before it is left out


@dataclass(frozen=True)
class Clicks:
    """A log in the order of time."""

    user: Ints
    item: Ints
    time: Ints


@dataclass(frozen=True)
class Examples:
    click: Ints  # which click of the log each row belongs to
    item: Ints
    label: Ints
    history: Ints  # [clicks, 100], padded with 0 on the left: one for each click, not for each row


def make_examples(clicks: Clicks, rng: np.random.Generator) -> Examples:
    """Each click, and two items not clicked by that user so far: one uniform over those seen, one recently popular.

    "So far" and "seen" mean strictly before the click's timestamp, the click itself apart: nothing later shows. Where
    the log is too young to offer an item, the row is left out.
    """
    click, item, label = [], [], []
    history = np.zeros((len(clicks.item), MAX_HISTORY), dtype=np.int64)
    past: dict[int, list[int]] = {}
    seen: list[int] = []
    seen_set: set[int] = set()
    with progress("make rows", len(clicks.item), "clicks") as bar:
        for start, end in _moments(clicks.time):
            for k in range(start, end):
                user, clicked = int(clicks.user[k]), int(clicks.item[k])
                own = past.get(user, [])
                recent = own[-HISTORY:]
                if recent:
                    history[k, MAX_HISTORY - len(recent) :] = recent
                taken = {clicked, *own}
                click.append(k)
                item.append(clicked)
                label.append(1)
                for source in (seen, clicks.item[max(start - RECENT, 0) : start]):
                    other = _draw(source, taken, rng)
                    if other is not None:
                        taken.add(other)
                        click.append(k)
                        item.append(other)
                        label.append(0)
            for k in range(start, end):
                past.setdefault(int(clicks.user[k]), []).append(int(clicks.item[k]))
                if int(clicks.item[k]) not in seen_set:
                    seen_set.add(int(clicks.item[k]))
                    seen.append(int(clicks.item[k]))
            bar.advance(end - start)
    return Examples(np.array(click), np.array(item), np.array(label), history)


def _moments(time: Ints) -> list[tuple[int, int]]:
    """Stretches of clicks with the same timestamp."""
    starts = np.flatnonzero(np.concatenate([[True], time[1:] != time[:-1]]))
    return list(zip(starts.tolist(), [*starts[1:].tolist(), len(time)], strict=True))


def _draw(source: Ints | list[int], taken: set[int], rng: np.random.Generator) -> int | None:
    if not len(source):
        return None
    for _ in range(_TRIES):
        drawn = int(source[int(rng.integers(len(source)))])
        if drawn not in taken:
            return drawn
    return None
