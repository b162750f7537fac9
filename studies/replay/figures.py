"""How well what served ranked and predicted the rows of each day, and of all days together.

AUC is measured within a day, because a replay asks who ranks the day's rows; the AUC of several days is their mean,
each day with the weight of its rows. Its error counts a user's rows of all days as one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from components.dataset.layout import ITEM, LABEL, USER
from components.statistics.auc import Floats, Ints, auc_influence
from components.statistics.calibration import expected_calibration_error, log_loss
from components.statistics.intervals import Estimate, error_by_user, normal_estimate

Json = dict[str, Any]
Mask = npt.NDArray[np.bool_]
CONFIDENCE = 0.95
YOUNG = 7  # nights that an item counts as young after the day on which it was first shown
_REDRAWS = 20  # of the labels, by which the calibration error of perfect probabilities is known


@dataclass(frozen=True)
class DayRows:
    """The rows that the models of one night were to rank on the next day."""

    labels: Ints
    users: Ints
    first_seen: Ints  # of each row's item
    cutoff: int
    stretch: int

    @property
    def has_both(self) -> bool:
        return 0 < int(self.labels.sum()) < len(self.labels)

    def groups(self) -> dict[str, Mask]:
        """Rows by how long their item had been known when the day began."""
        age = self.cutoff - self.first_seen
        return {
            "first shown that day": age <= 0,
            f"known for up to {YOUNG} nights": (age > 0) & (age <= YOUNG * self.stretch),
            "known for longer": age > YOUNG * self.stretch,
        }


def day_rows(night: Path, first_seen: Ints, cutoff: int, stretch: int) -> DayRows:
    table = pq.read_table(night / "tomorrow.parquet", columns=[LABEL, USER, ITEM])
    label, user, item = (table.column(name).to_numpy().astype(np.int64) for name in (LABEL, USER, ITEM))
    return DayRows(label, user, first_seen[item], cutoff, stretch)


def day_auc(rows: DayRows, scores: Floats) -> Estimate | None:
    """None where all labels are alike."""
    if not rows.has_both:
        return None
    area, influence = auc_influence(rows.labels, scores)
    return normal_estimate(area, error_by_user(influence, rows.users), CONFIDENCE)


@dataclass(frozen=True)
class Pooled:
    """An AUC over several days, and by how much each row pulls it."""

    value: float
    influence: Floats
    users: Ints

    def estimate(self) -> Estimate:
        return normal_estimate(self.value, error_by_user(self.influence, self.users), CONFIDENCE)

    def minus(self, other: "Pooled") -> Estimate:
        error = error_by_user(self.influence - other.influence, self.users)
        return normal_estimate(self.value - other.value, error, CONFIDENCE)


def pooled(days: Sequence[DayRows], scores: Sequence[Floats], masks: Sequence[Mask] | None = None) -> Pooled | None:
    """None where no day has both labels. With `masks` only these rows count."""
    value, influences, users, total = 0.0, [], [], 0
    for number, (rows, given) in enumerate(zip(days, scores, strict=True)):
        chosen = np.ones(len(rows.labels), dtype=bool) if masks is None else masks[number]
        labels = rows.labels[chosen]
        if not 0 < labels.sum() < len(labels):
            continue
        area, influence = auc_influence(labels, given[chosen])
        value += len(labels) * area
        total += len(labels)
        influences.append(len(labels) * influence)
        users.append(rows.users[chosen])
    if not total:
        return None
    return Pooled(value / total, np.concatenate(influences) / total, np.concatenate(users))


def calibration(days: Sequence[DayRows], scores: Sequence[Floats], bins: int) -> Json:
    """Log loss and calibration error over all rows. The error is above 0 by chance alone: `by_chance` says how far."""
    labels = np.concatenate([rows.labels for rows in days])
    given = np.concatenate(list(scores))
    rng = np.random.default_rng(1)
    redrawn = [
        expected_calibration_error((rng.random(len(given)) < given).astype(np.int64), given, bins)
        for _ in range(_REDRAWS)
    ]
    return {
        "log_loss": log_loss(labels, given),
        "calibration_error": expected_calibration_error(labels, given, bins),
        "by_chance": float(np.mean(redrawn)),
        "mean_score": float(given.mean()),
        "click_rate": float(labels.mean()),
    }


def by_item_age(days: Sequence[DayRows], scores: Sequence[Floats]) -> list[Json]:
    """AUC on the rows of new, young and old items, each group by itself."""
    groups = [rows.groups() for rows in days]
    found = []
    for name in groups[0] if groups else ():
        masks = [group[name] for group in groups]
        measured = pooled(days, scores, masks)
        found.append(
            {
                "name": name,
                "rows": int(sum(mask.sum() for mask in masks)),
                "auc": None if measured is None else finite(measured.estimate()),
            }
        )
    return found


def finite(estimate: Estimate) -> Json:
    """As JSON holds it: without a bound where too few users were there to tell."""
    return {name: value if np.isfinite(value) else None for name, value in estimate.as_json().items()}
