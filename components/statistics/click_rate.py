"""How often each item was clicked: the score that any model must beat."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from components.statistics.auc import Floats, Ints


@dataclass(frozen=True)
class ClickRates:
    """Each item's smoothed click rate: it starts as some rows at the mean rate."""

    items: Ints  # ascending
    rates: Floats
    shown: Floats  # rows of each item
    mean: float

    def of(self, items: Ints) -> tuple[Floats, Floats]:
        """Rate and number of rows; an item that was never shown has the mean rate and no rows."""
        place = np.searchsorted(self.items, items).clip(max=len(self.items) - 1)
        known = self.items[place] == items
        return np.where(known, self.rates[place], self.mean), np.where(known, self.shown[place], 0.0)


def click_rates(items: ArrayLike, labels: ArrayLike, smoothing: float) -> ClickRates:
    """`smoothing` is the number of rows at the mean rate that each item starts with."""
    known, place = np.unique(np.asarray(items, dtype=np.int64), return_inverse=True)
    clicked = np.asarray(labels, dtype=np.float64)
    shown = np.bincount(place).astype(np.float64)
    mean = float(clicked.mean())
    rates = (np.bincount(place, weights=clicked) + smoothing * mean) / (shown + smoothing)
    return ClickRates(known, rates, shown, mean)
