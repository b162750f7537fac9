"""Draws users, their histories and their rows, a chunk at a time, each row with its true click probability."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from components.dataset.layout import MAX_HISTORY
from components.dataset.sample.spec import SampleSpec
from components.dataset.sample.world import ATTRIBUTES, LIKING, Floats, Ints, World

Mask = npt.NDArray[np.bool_]

NEGATIVES = 3  # to each click
USERS_A_CHUNK = 4_096  # 16,384 rows: one row group of the parquet file
_FIRST_USER = {"train": 1, "valid": 10_000_001, "test": 20_000_001}
_STREAM = {"train": 1, "valid": 2, "test": 3}


@dataclass(frozen=True)
class Rows:
    """Parallel arrays over rows, shuffled. The last three are what a model could know at best and in part; they are not
    part of the data.
    """

    user: Ints
    item: Ints
    history: Ints  # [rows, 100], padded with 0 on the left
    label: Ints
    probability: Floats  # of a click, given the user's likings, the history and how rows are drawn
    taste: Floats  # log popularity + liking: the same, without knowing the pools that negatives are drawn from
    likeness: Floats  # similarity of the item to the history: what content alone can tell


class Catalogue:
    """Draws items by popularity within a kind, and kinds by a user's likings."""

    def __init__(self, world: World, available: Mask) -> None:
        kinds, kind_of_item = np.unique(world.attributes, axis=0, return_inverse=True)
        self.kinds, self.kind_of_item = kinds, kind_of_item.reshape(-1)
        self.weight = np.where(available, world.popularity, 0.0)
        self.order = np.argsort(self.kind_of_item, kind="stable")
        self.cumulative = np.cumsum(self.weight[self.order])
        self.mass = np.bincount(self.kind_of_item, self.weight, len(kinds))
        self.before = np.concatenate([[0.0], np.cumsum(self.mass)[:-1]])

    def chances(self, likings: Floats) -> Floats:
        """For each user the cumulative chance of each kind, plus the user's number: one sorted line of numbers."""
        cumulative = np.cumsum(likings * self.mass, axis=1)
        cumulative /= cumulative[:, -1:]
        return (cumulative + np.arange(len(likings))[:, None]).reshape(-1)

    def draw(self, rng: np.random.Generator, chances: Floats, users: Ints) -> Ints:
        """One item for each entry of `users` (numbers within the chunk); items count from 0."""
        kinds = len(self.kinds)
        place = np.searchsorted(chances, users + rng.random(len(users)), side="right")
        kind = np.clip(place - users * kinds, 0, kinds - 1)
        target = self.before[kind] + rng.random(len(users)) * self.mass[kind]
        found = np.searchsorted(self.cumulative, target, side="right")
        items: Ints = self.order[np.clip(found, 0, len(self.order) - 1)]
        return items


def draw_rows(world: World, spec: SampleSpec, split: str) -> Iterator[Rows]:
    """Yields the rows of one split. Splits have their own users, their own pool and their own stream of randomness."""
    rng = np.random.default_rng([spec.seed, _STREAM[split]])
    users = spec.rows(split) // (1 + NEGATIVES)
    lengths = rng.permutation(history_lengths(users, world.items))
    available = np.ones(world.items, dtype=bool) if split == "test" else ~world.new
    known = Catalogue(world, ~world.new)
    open_to_click = Catalogue(world, available) if split == "test" else known
    share = spec.train_pool if split == "train" else spec.test_pool
    pool = draw_pool(world, available, share, spec.pool_popularity, rng)
    for start in range(0, users, USERS_A_CHUNK):
        count = min(USERS_A_CHUNK, users - start)
        yield draw_chunk(
            rng, world, known, open_to_click, pool, _FIRST_USER[split] + start, lengths[start : start + count]
        )


def history_lengths(users: int, items: int) -> Ints:
    """Like the challenge's: at least 3, quartiles 4, 6 and 9, at most 100, and a long tail between."""
    normal = NormalDist(np.log(4.0), 0.93)
    lengths = [2 + round(float(np.exp(normal.inv_cdf((k + 0.5) / users)))) for k in range(users)]
    return np.clip(np.array(lengths, dtype=np.int64), 3, min(MAX_HISTORY, items // 3))


def draw_pool(world: World, available: Mask, share: float, power: float, rng: np.random.Generator) -> Mask:
    """The items that negatives are drawn from, all with the same probability: a share of the available ones."""
    candidates = np.flatnonzero(available)
    weight = world.popularity[candidates] ** power
    size = max(round(share * len(candidates)), NEGATIVES + 2 + min(MAX_HISTORY, world.items // 3))
    pool = np.zeros(world.items, dtype=bool)
    pool[rng.choice(candidates, min(size, len(candidates)), replace=False, p=weight / weight.sum())] = True
    return pool


def draw_chunk(
    rng: np.random.Generator,
    world: World,
    known: Catalogue,
    open_to_click: Catalogue,
    pool: Mask,
    first_user: int,
    lengths: Ints,
) -> Rows:
    users = np.arange(len(lengths))
    likings = _likings(rng, known.kinds, len(users))
    history_user, history_item = _draw_histories(rng, known, known.chances(likings), lengths)
    seen = np.sort(history_user * world.items + history_item)
    clicked = _draw_unseen(rng, seen, world.items, users, open_to_click, open_to_click.chances(likings))
    skipped = _draw_skipped(rng, seen, world.items, np.flatnonzero(pool), clicked)

    user = np.repeat(users, 1 + NEGATIVES)
    item = np.concatenate([clicked[:, None], skipped], axis=1).reshape(-1)
    label = np.tile(np.array([1] + [0] * NEGATIVES), len(users))
    probability = _probability(open_to_click, likings, pool, history_user, history_item, user, item)
    taste = np.log(world.popularity[item] * likings[user, known.kind_of_item[item]])
    likeness = _likeness(world, history_user, history_item, lengths, user, item)
    histories = _pad(history_user, history_item, lengths)
    mixed = rng.permutation(len(user))
    return Rows(
        user=first_user + user[mixed],
        item=1 + item[mixed],
        history=histories[user[mixed]],
        label=label[mixed],
        probability=probability[mixed],
        taste=taste[mixed],
        likeness=likeness[mixed],
    )


def _likings(rng: np.random.Generator, kinds: Ints, users: int) -> Floats:
    """exp(how much each user likes each kind)."""
    total = np.zeros((users, len(kinds)))
    for attribute, (count, spread) in enumerate(zip(ATTRIBUTES, LIKING, strict=True)):
        total += rng.normal(0.0, spread, (users, count))[:, kinds[:, attribute]]
    return np.exp(total)


def _draw_histories(rng: np.random.Generator, known: Catalogue, chances: Floats, lengths: Ints) -> tuple[Ints, Ints]:
    """Clicks one after another, no item twice. Returns (user, item) pairs, users in order, oldest click first."""
    user, item = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    while True:
        missing = lengths - np.bincount(user, minlength=len(lengths))
        if not missing.any():
            return user, item
        more = np.repeat(np.arange(len(lengths)), np.where(missing > 0, missing + missing // 2 + 2, 0))
        user = np.concatenate([user, more])
        item = np.concatenate([item, known.draw(rng, chances, more)])
        _, first = np.unique(user * len(known.weight) + item, return_index=True)
        first.sort()
        by_user = first[np.argsort(user[first], kind="stable")]
        user, item = user[by_user], item[by_user]
        position = np.arange(len(user)) - np.searchsorted(user, user)
        kept = position < lengths[user]
        user, item = user[kept], item[kept]


def _draw_unseen(
    rng: np.random.Generator, seen: Ints, items: int, users: Ints, catalogue: Catalogue, chances: Floats
) -> Ints:
    drawn = catalogue.draw(rng, chances, users)
    while (again := np.flatnonzero(_holds(seen, users * items + drawn))).size:
        drawn[again] = catalogue.draw(rng, chances, users[again])
    return drawn


def _draw_skipped(rng: np.random.Generator, seen: Ints, items: int, pool: Ints, clicked: Ints) -> Ints:
    """Uniform over the pool; not in the history, not the clicked item, no item twice."""
    users = np.arange(len(clicked))
    taken = [clicked]
    for _ in range(NEGATIVES):
        drawn = rng.choice(pool, len(users))
        while True:
            bad = _holds(seen, users * items + drawn)
            for other in taken:
                bad |= drawn == other
            again = np.flatnonzero(bad)
            if not again.size:
                break
            drawn[again] = rng.choice(pool, again.size)
        taken.append(drawn)
    return np.stack(taken[1:], axis=1)


def _holds(sorted_keys: Ints, keys: Ints) -> Mask:
    place = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    held: Mask = sorted_keys[place] == keys
    return held


def _probability(
    catalogue: Catalogue, likings: Floats, pool: Mask, history_user: Ints, history_item: Ints, user: Ints, item: Ints
) -> Floats:
    """Bayes' rule over how a row came to be: one click against three draws from the pool."""
    users = len(likings)
    weight = catalogue.weight
    history_weight = weight[history_item] * likings[history_user, catalogue.kind_of_item[history_item]]
    history_in_pool = pool[history_item]
    total = likings @ catalogue.mass - np.bincount(history_user, history_weight, users)
    pool_mass = likings @ np.bincount(catalogue.kind_of_item, weight * pool, len(catalogue.kinds))
    pool_mass = pool_mass - np.bincount(history_user, history_weight * history_in_pool, users)
    choices = pool.sum() - np.bincount(history_user, history_in_pool, users)  # pool items that the user may be shown
    if_clicked = weight[item] * likings[user, catalogue.kind_of_item[item]] / total[user]
    # The probability that the clicked item was in the pool, and therefore can't be drawn as a negative.
    inside = pool_mass[user] / total[user]
    if_skipped = (1 - inside) / choices[user] + np.maximum(inside - if_clicked, 0.0) / (choices[user] - 1)
    if_skipped = np.where(pool[item], if_skipped, 0.0)
    return np.asarray(if_clicked / (if_clicked + NEGATIVES * if_skipped))


def _likeness(world: World, history_user: Ints, history_item: Ints, lengths: Ints, user: Ints, item: Ints) -> Floats:
    total = np.zeros(len(user))
    for attribute, (count, spread) in enumerate(zip(ATTRIBUTES, LIKING, strict=True)):
        values = world.attributes[:, attribute]
        cells = np.bincount(history_user * count + values[history_item], minlength=len(lengths) * count)
        total += spread**2 * (cells.reshape(-1, count) / lengths[:, None])[user, values[item]]
    return total


def _pad(history_user: Ints, history_item: Ints, lengths: Ints) -> Ints:
    padded = np.zeros((len(lengths), MAX_HISTORY), dtype=np.int64)
    position = np.arange(len(history_user)) - np.searchsorted(history_user, history_user)
    padded[history_user, MAX_HISTORY - lengths[history_user] + position] = 1 + history_item
    return padded
