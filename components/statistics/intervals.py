"""How far an AUC, a share, or the difference of two AUCs on the same rows may be off by chance.

Rows of one user resemble each other, so their errors do not cancel out as those of independent rows do. `by_user`
treats users as independent, `by_row` (DeLong's test) treats rows as independent.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from components.statistics.auc import Floats, auc_influence


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error and a two-sided interval."""

    value: float
    error: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        return {"value": self.value, "error": self.error, "low": self.low, "high": self.high}


def normal_estimate(value: float, error: float, confidence: float) -> Estimate:
    return Estimate(value, error, *one_sided_bounds(value, error, (1 - confidence) / 2))


def one_sided_bounds(value: float, error: float, alpha: float) -> tuple[float, float]:
    """(lower, upper): each by itself is on the wrong side of the truth in a share `alpha` of all samples."""
    reach = float(norm.isf(alpha)) * error
    return value - reach, value + reach


def p_better(difference: float, error: float) -> float:
    """One-sided: how often chance alone would show a gain this large between two equal models."""
    if error == 0:
        return 0.0 if difference > 0 else 1.0
    return float(norm.sf(difference / error))


def error_by_row(influence: Floats, labels: ArrayLike) -> float:
    """DeLong's standard error, from the influence of each row on an AUC or on the difference of two."""
    clicked = np.asarray(labels) == 1
    clicks, others = int(clicked.sum()), int((~clicked).sum())
    if min(clicks, others) < 2:
        raise ValueError(f"DeLong: {clicks} clicked and {others} other rows; it needs two of each")
    unbiased = np.where(clicked, clicks / (clicks - 1), others / (others - 1))
    return float(np.sqrt((influence**2 * unbiased).sum()))


def error_by_user(influence: Floats, users: ArrayLike) -> float:
    _, index = np.unique(np.asarray(users), return_inverse=True)
    by_user = np.bincount(index, weights=influence)
    if len(by_user) < 2:
        return float("inf")
    return float(np.sqrt((by_user**2).sum() * len(by_user) / (len(by_user) - 1)))


def auc_by_row(labels: ArrayLike, scores: ArrayLike, confidence: float) -> Estimate:
    """The interval is cut to [0, 1]."""
    area, influence = auc_influence(labels, scores)
    found = normal_estimate(area, error_by_row(influence, labels), confidence)
    return Estimate(found.value, found.error, max(0.0, found.low), min(1.0, found.high))


def auc_by_user(labels: ArrayLike, scores: ArrayLike, users: ArrayLike, confidence: float) -> Estimate:
    area, influence = auc_influence(labels, scores)
    return normal_estimate(area, error_by_user(influence, users), confidence)


def difference_by_row(labels: ArrayLike, first: ArrayLike, second: ArrayLike, confidence: float) -> Estimate:
    """AUC of `first` minus AUC of `second` on the same rows."""
    difference, influence = _difference(labels, first, second)
    return normal_estimate(difference, error_by_row(influence, labels), confidence)


def difference_by_user(
    labels: ArrayLike, first: ArrayLike, second: ArrayLike, users: ArrayLike, confidence: float
) -> Estimate:
    """AUC of `first` minus AUC of `second` on the same rows."""
    difference, influence = _difference(labels, first, second)
    return normal_estimate(difference, error_by_user(influence, users), confidence)


def percentile_estimate(observed: float, samples: NDArray[np.float64], confidence: float) -> Estimate:
    """From the values of all redraws of the users; unbounded if fewer than 50 of them gave a number."""
    samples = samples[np.isfinite(samples)]
    if len(samples) < 50:
        return Estimate(observed, float("inf"), float("-inf"), float("inf"))
    low, high = np.quantile(samples, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Estimate(observed, float(samples.std(ddof=1)), float(low), float(high))


def wilson(successes: float, trials: int, confidence: float) -> tuple[float, float]:
    """Wilson's interval of a share."""
    z = float(norm.isf((1 - confidence) / 2))
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    reach = z / (1 + z * z / trials) * np.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2))
    return max(0.0, float(centre - reach)), min(1.0, float(centre + reach))


def _difference(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> tuple[float, Floats]:
    auc_first, influence_first = auc_influence(labels, first)
    auc_second, influence_second = auc_influence(labels, second)
    return auc_first - auc_second, influence_first - influence_second
