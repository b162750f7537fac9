"""What the best possible scores of each day are, how fast knowledge ages, and which policy of retraining is best."""

import dataclasses
from typing import Any

import numpy as np

from components.dataset.sample.clicks import Rows
from components.dataset.sample.days import FIRST_DAY, Calendar, DaysSpec
from components.dataset.sample.truth import auc_of

_FIRST_SHARE = 0.25  # of the days: what is known on the first night that counts here
_ALIKE = 0.002  # AUC: a cheaper policy that loses less than this is as good


class DaysTruth:
    """Somebody who knows all users' likings, and how popular items were on an earlier day, scores each day's rows."""

    def __init__(self, calendar: Calendar, spec: DaysSpec) -> None:
        self._calendar, self._spec = calendar, spec
        self._areas: dict[int, list[float]] = {}  # day -> AUC of what was known on day 0, 1 … and on the day itself

    def add(self, day: int, rows: Rows) -> None:
        own = rows.taste - self._calendar.log_popularity[day][rows.item - 1]
        self._areas[day] = [
            auc_of(rows.label, own + self._calendar.as_known_on(then)[rows.item - 1]) for then in range(day + 1)
        ]

    def summary(self) -> dict[str, Any]:
        spec = self._spec
        first = max(1, round(spec.days * _FIRST_SHARE))
        policies = {
            "never": self._mean(first, lambda _: first - 1),
            "cold weekly": self._mean(first, lambda day: first - 1 + (day - first) // 7 * 7),
            "cold nightly": self._mean(first, lambda day: day - 1),
        }
        highest = max(policies.values())
        return {
            **dataclasses.asdict(spec),
            "first_day": f"{FIRST_DAY:%Y-%m-%d}",
            "shift_day": spec.shift_day,
            "broken_day": spec.broken_day,
            "broken_field": "item_seq" if spec.broken_feed else None,
            "born": self._calendar.born.tolist(),
            "gone": self._calendar.gone.tolist(),
            "auc_by_age": [
                round(
                    float(np.mean([area[day - age] for day, area in self._areas.items() if day >= max(first, age)])), 6
                )
                for age in range(spec.days - 1)
            ],
            "policies": policies,  # from the cheapest on
            "best": next(name for name, area in policies.items() if area >= highest - _ALIKE),
        }

    def _mean(self, first: int, known_on: Any) -> float:
        days = [day for day in self._areas if day >= first]
        return round(float(np.mean([self._areas[day][known_on(day)] for day in days])), 6)
