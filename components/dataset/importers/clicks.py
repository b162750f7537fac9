"""From a log of clicks to rows: what each user had clicked before, and what else they might have clicked."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.dataset.layout import MAX_HISTORY
from components.dataset.tables import deciles
from components.process.progress import progress

Ints = npt.NDArray[np.int64]

HISTORY = 50  # newest clicks a row keeps
RECENT = 5_000  # clicks of all users that recent popularity is drawn from
_TRIES = 50  # a negative is left out after so many draws without success


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

    "So far" and "seen" mean strictly before the click's timestamp, and by the same user at that moment: no row knows
    anything later, and no item is both clicked and not clicked. A click without a history makes no rows, nor does the
    first click of an item: it could not have been drawn as a negative before, so all rows of an item that nobody had
    clicked yet would be clicks. If too few items were seen before a click to draw a negative, that row is left out.
    """
    click: list[int] = []
    item: list[int] = []
    label: list[int] = []
    history = np.zeros((len(clicks.item), MAX_HISTORY), dtype=np.int64)
    past: dict[int, list[int]] = {}
    seen: dict[int, None] = {}  # in the order of first sight
    with progress("make rows", len(clicks.item), "clicks") as bar:
        for start, end in _moments(clicks.time):
            candidates = (list(seen), clicks.item[max(start - RECENT, 0) : start])
            users, items = clicks.user[start:end].tolist(), clicks.item[start:end].tolist()
            taken: dict[int, set[int]] = {}
            for user, clicked in zip(users, items, strict=True):
                taken.setdefault(user, set(past.get(user, []))).add(clicked)
            for k, (user, clicked) in enumerate(zip(users, items, strict=True), start=start):
                recent = past.get(user, [])[-HISTORY:]
                if not recent or clicked not in seen:
                    continue
                history[k, MAX_HISTORY - len(recent) :] = recent
                drawn = _draw(candidates, taken[user], rng)
                click += [k] * (1 + len(drawn))
                item += [clicked, *drawn]
                label += [1] + [0] * len(drawn)
            for user, clicked in zip(users, items, strict=True):
                past.setdefault(user, []).append(clicked)
                seen.setdefault(clicked)
            bar.advance(end - start)
    return Examples(
        np.array(click, dtype=np.int64), np.array(item, dtype=np.int64), np.array(label, dtype=np.int64), history
    )


def _moments(time: Ints) -> list[tuple[int, int]]:
    """The clicks of each timestamp."""
    starts = np.flatnonzero(np.concatenate([[True], time[1:] != time[:-1]]))
    return list(zip(starts.tolist(), [*starts[1:].tolist(), len(time)], strict=True))


def levels_as_of_click(
    examples: Examples, clicks: Clicks, liked: npt.NDArray[np.bool_], items: Ints
) -> tuple[Ints, Ints]:
    """Likes and views level of each example's item: its decile among `items`, by the clicks before the example's own.

    Clicks of the same timestamp do not count, as in the histories. `items` are all ids, sorted.
    """
    likes, views = np.zeros((2, len(items)), dtype=np.int64)
    like_levels, view_levels = np.zeros((2, len(examples.item)), dtype=np.int64)
    clicked, shown = np.searchsorted(items, clicks.item), np.searchsorted(items, examples.item)
    with progress("count levels", len(clicks.item), "clicks") as bar:
        for start, end in _moments(clicks.time):
            rows = slice(*np.searchsorted(examples.click, [start, end]))
            if rows.start < rows.stop:
                like_levels[rows] = deciles(likes)[shown[rows]]
                view_levels[rows] = deciles(views)[shown[rows]]
            np.add.at(views, clicked[start:end], 1)
            np.add.at(likes, clicked[start:end], liked[start:end])
            bar.advance(end - start)
    return like_levels, view_levels


def _draw(sources: tuple[list[int], Ints], taken: set[int], rng: np.random.Generator) -> list[int]:
    """One item from each source that is not taken yet; `taken` grows by them."""
    drawn = []
    for source in sources:
        for _ in range(_TRIES if len(source) else 0):
            item = int(source[int(rng.integers(len(source)))])
            if item not in taken:
                taken.add(item)
                drawn.append(item)
                break
    return drawn
