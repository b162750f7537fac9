"""How the sample changes from day to day: tastes drift, items come and go, weekdays differ, and two things happen.

On one day the tastes of everybody shift at once, and on one day the feed of histories is broken and delivers none. The
first is real, and a model must follow it; the second is a fault, which validation must notice.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from components.dataset.sample.world import Floats, Ints, World
from model.checks import at_least, between

FIRST_DAY = datetime(2026, 6, 1, tzinfo=UTC)  # a Monday
DAY = 86_400  # seconds


@dataclass(frozen=True)
class DaysSpec:
    """Standard deviations are of an addition to an item's log popularity that all items of a topic share."""

    days: int = 40
    rows_a_day: int = 2_400  # rounded down to whole users of four rows
    drift: float = 0.25  # standard deviation of a topic's appeal from one day to the next
    season: float = 0.4  # standard deviation of what a weekday adds to a topic's appeal
    shift: float = 1.5  # standard deviation of a topic's change on the day of the shift; 0: there is none
    born_later: float = 0.5  # share of the items that are born after the first day, any day as likely as another
    lifetime: int = 25  # days that an item is shown on average; 0: for ever
    broken_feed: bool = True  # whether one day's histories are lost

    def __post_init__(self) -> None:
        at_least("--days", self.days, 10)
        at_least("sample.rows_a_day", self.rows_a_day, 40)
        for field in ("drift", "season", "shift", "lifetime"):
            at_least(f"sample.{field}", getattr(self, field), 0)
        between("sample.born_later", self.born_later, 0.0, 0.8)

    @property
    def users_a_day(self) -> int:
        return self.rows_a_day // 4

    @property
    def shift_day(self) -> int | None:
        """Counted from 0, as all days here: the first day with the new tastes."""
        return self.days * 13 // 20 if self.shift else None

    @property
    def broken_day(self) -> int | None:
        return self.days * 9 // 20 if self.broken_feed else None


STEADY = DaysSpec(drift=0.0, season=0.0, shift=0.0, born_later=0.0, lifetime=0, broken_feed=False)


@dataclass(frozen=True)
class Calendar:
    """What holds on each day."""

    log_popularity: Floats  # [days, items]
    born: Ints  # the first day of each item
    gone: Ints  # the first day without it

    def alive(self, day: int) -> np.ndarray:
        return np.asarray((self.born <= day) & (day < self.gone))

    def as_known_on(self, day: int) -> Floats:
        """Log popularities as somebody knows them at the end of `day`: items born later count as average ones."""
        born = self.born <= day
        known = self.log_popularity[day]
        return np.asarray(np.where(born, known, known[born].mean()))


def make_calendar(world: World, spec: DaysSpec, seed: int) -> Calendar:
    rng = np.random.default_rng([seed, 8])
    topics = int(world.attributes[:, 0].max()) + 1
    appeal = np.cumsum(rng.normal(0.0, spec.drift, (spec.days, topics)), axis=0)
    appeal += rng.normal(0.0, spec.season, (7, topics))[np.arange(spec.days) % 7]
    change = rng.normal(0.0, 1.0, topics)
    change *= spec.shift / change.std()  # of the size that the spec says, whatever the seed
    if spec.shift_day is not None:
        appeal[spec.shift_day :] += change
    later = rng.random(world.items) < spec.born_later
    born = np.where(later, rng.integers(1, spec.days, world.items), 0)
    gone = np.full(world.items, spec.days)
    if spec.lifetime:
        # Items of the first day are of every age already, as in any catalogue. One item in five is never taken away.
        lasting = rng.random(world.items) < 0.2
        gone = np.where(lasting, spec.days, born + 1 + rng.poisson(spec.lifetime, world.items))
        gone = np.where(~lasting & ~later, 1 + rng.integers(0, 2 * spec.lifetime, world.items), gone)
    return Calendar(np.log(world.popularity) + appeal[:, world.attributes[:, 0]], born, gone)


def moments(day: int, users: int, rng: np.random.Generator) -> Ints:
    """Seconds since 1970 of the users' visits on a day, in order."""
    start = int((FIRST_DAY + timedelta(days=day)).timestamp())
    return np.asarray(np.sort(start + rng.integers(0, DAY, users)))
