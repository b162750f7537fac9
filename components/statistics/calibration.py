"""Whether predicted click rates are right on average. Labels are 0 or 1, probabilities lie in [0, 1], one of each a
row.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.statistics.auc import Floats, checked


@dataclass(frozen=True)
class ReliabilityCurve:
    """By bin of predicted probability; empty bins are left out."""

    predicted: Floats
    observed: Floats
    count: NDArray[np.int64]


def log_loss(labels: ArrayLike, probabilities: ArrayLike, eps: float = 1e-7) -> float:
    clicked, values = _probabilities(labels, probabilities)
    clipped = np.clip(values, eps, 1 - eps)
    return float(-np.mean(np.where(clicked, np.log(clipped), np.log1p(-clipped))))


def reliability_curve(labels: ArrayLike, probabilities: ArrayLike, bins: int = 20) -> ReliabilityCurve:
    """Mean prediction and share of clicks in bins of equal width."""
    clicked, values = _probabilities(labels, probabilities)
    bin_of = np.minimum((values * bins).astype(np.int64), bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    used = count > 0
    predicted = np.bincount(bin_of, weights=values, minlength=bins)[used] / count[used]
    observed = np.bincount(bin_of, weights=clicked, minlength=bins)[used] / count[used]
    return ReliabilityCurve(predicted, observed, count[used])


def expected_calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 20) -> float:
    """The mean gap between prediction and outcome over the rows of each bin of equal width."""
    curve = reliability_curve(labels, probabilities, bins)
    return float(np.average(np.abs(curve.observed - curve.predicted), weights=curve.count))


def _probabilities(labels: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    clicked, values = checked(labels, np.asarray(probabilities, dtype=np.float64))
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"probabilities: must lie in [0, 1], found {values.min():g} to {values.max():g}; scores are no logits"
        )
    return clicked, values
