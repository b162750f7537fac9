"""What a model loses with every day that it serves, and whether the gate was right to refuse a candidate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from components.statistics.auc import Floats
from components.statistics.intervals import difference_by_user
from studies.replay.figures import CONFIDENCE, DayRows, finite

Json = dict[str, Any]


@dataclass(frozen=True)
class Served:
    """What a policy served on the day after a night."""

    key: str  # names the model
    night: int  # on which the model was trained
    from_scratch: bool
    scores: Floats


def ageing(days: Sequence[DayRows], served: Sequence[Sequence[Served]], every: int) -> Json:
    """Of each day, the older models against the one that was trained from scratch on its eve, on the same rows.

    `served` holds for each day what the policies served. The loss a day is the slope of a line through the origin: a
    model of no age has lost nothing. Its interval takes the differences of one day as one observation.
    """
    points: list[Json] = []
    for number, (rows, models) in enumerate(zip(days, served, strict=True)):
        if not rows.has_both:
            continue
        distinct = {model.key: model for model in models if model.from_scratch}
        fresh = next((model for model in distinct.values() if model.night == number), None)
        if fresh is None:
            continue
        for model in distinct.values():
            if model.night < number:
                found = difference_by_user(rows.labels, model.scores, fresh.scores, rows.users, CONFIDENCE)
                if np.isfinite(found.error) and found.error > 0:
                    days_old = (number - model.night) * every
                    points.append({"day": number, "age": days_old, "value": found.value, "error": found.error})
    return {"points": points, "by_age": _by_age(points), "loss_a_day": _slope(points)}


def _by_age(points: Sequence[Json]) -> list[Json]:
    found = []
    for age in sorted({point["age"] for point in points}):
        here = [point for point in points if point["age"] == age]
        weights = np.array([point["error"] ** -2 for point in here])
        value = float(np.average([point["value"] for point in here], weights=weights))
        reach = 1.96 / float(np.sqrt(weights.sum()))
        found.append({"age": age, "days": len(here), "value": value, "low": value - reach, "high": value + reach})
    return found


def _slope(points: Sequence[Json]) -> Json | None:
    """As a loss: positive where AUC falls. None where fewer than three days can be compared."""
    day, age, value, error = (np.array([point[name] for point in points]) for name in ("day", "age", "value", "error"))
    distinct = np.unique(day)
    if len(distinct) < 3:
        return None
    weight = error**-2.0
    total = float((weight * age**2).sum())
    slope = float((weight * age * value).sum()) / total
    pull = weight * age * (value - slope * age)
    by_day = np.array([pull[day == each].sum() for each in distinct])
    spread = float(np.sqrt((by_day**2).sum() * len(distinct) / (len(distinct) - 1))) / total
    reach = float(student.ppf(0.5 + CONFIDENCE / 2, len(distinct) - 1)) * spread
    return {"value": -slope, "low": -slope - reach, "high": -slope + reach, "days": len(distinct)}


def judged(rows: DayRows, refused: Floats, served: Floats) -> tuple[Json | None, str]:
    """What a refused candidate would have gained on the next day, and whether the gate was right to refuse it."""
    if not rows.has_both:
        return None, "unknown"
    gain = difference_by_user(rows.labels, refused, served, rows.users, CONFIDENCE)
    if not np.isfinite(gain.error):
        return finite(gain), "unknown"
    return finite(gain), "right" if gain.high < 0 else "wrong" if gain.low > 0 else "open"
