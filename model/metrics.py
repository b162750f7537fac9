"""How good a ranking is and how sure we are of it. Labels are 0 or 1, scores any finite numbers, one a row."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An AUC with its DeLong confidence interval."""

    auc: float
    low: float
    high: float
    standard_error: float


@dataclass(frozen=True)
class PairedDeLong:
    """`difference` is the second score's AUC minus the first's on the same rows; `p_value` is two-sided."""

    first: float
    second: float
    difference: float
    standard_error: float
    z: float
    p_value: float


@dataclass(frozen=True)
class ReliabilityCurve:
    """By bin of predicted probability; empty bins are left out."""

    predicted: Floats
    observed: Floats
    count: NDArray[np.int64]


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """The chance that a positive row scores above a negative one, ties counting half."""
    positive, values = _binary(labels, scores)
    positives = int(positive.sum())
    rank_sum = _midranks(values)[positive].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * (len(values) - positives)))


def grouped_auc(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> float:
    """The AUC inside each group, weighted by its rows; groups of one class say nothing and are left out."""
    positive, values = _binary(labels, scores)
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    if group.shape != values.shape:
        raise ValueError(f"groups: {group.size} values for {values.size} rows")
    rows = np.bincount(group)
    positives = np.bincount(group, weights=positive)
    first = np.concatenate([[0], np.cumsum(rows)[:-1]])
    ranks = _midranks_by(values, group) - first[group]
    rank_sum = np.bincount(group, weights=ranks * positive)
    mixed = (positives > 0) & (positives < rows)
    if not mixed.any():
        raise ValueError("grouped AUC: no group holds both classes; it is undefined on these rows")
    inside = (rank_sum - positives * (positives + 1) / 2)[mixed] / (positives * (rows - positives))[mixed]
    return float(np.average(inside, weights=rows[mixed]))


def log_loss(labels: ArrayLike, probabilities: ArrayLike, eps: float = 1e-7) -> float:
    positive, values = _rows(labels, probabilities)
    clipped = np.clip(_probabilities(values), eps, 1 - eps)
    return float(-np.mean(np.where(positive, np.log(clipped), np.log1p(-clipped))))


def reliability_curve(labels: ArrayLike, probabilities: ArrayLike, bins: int = 20) -> ReliabilityCurve:
    """Mean prediction and share of positives in bins of equal width."""
    positive, values = _rows(labels, probabilities)
    bin_of = np.minimum((_probabilities(values) * bins).astype(np.int64), bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    used = count > 0
    predicted = np.bincount(bin_of, weights=values, minlength=bins)[used] / count[used]
    observed = np.bincount(bin_of, weights=positive, minlength=bins)[used] / count[used]
    return ReliabilityCurve(predicted, observed, count[used])


def expected_calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 20) -> float:
    """The mean gap between prediction and outcome over the rows of each bin of equal width."""
    curve = reliability_curve(labels, probabilities, bins)
    return float(np.average(np.abs(curve.observed - curve.predicted), weights=curve.count))


def delong_variance(labels: ArrayLike, scores: ArrayLike) -> float:
    """The variance of the AUC over samples of rows such as these."""
    positive, values = _binary(labels, scores)
    return float(_covariance(positive, values[None])[1][0, 0])


def auc_interval(labels: ArrayLike, scores: ArrayLike, z: float = 1.959964) -> Interval:
    """The AUC and its normal interval by DeLong's variance, cut to [0, 1]; the default z is for 95%."""
    positive, values = _binary(labels, scores)
    area, covariance = _covariance(positive, values[None])
    error = math.sqrt(covariance[0, 0])
    return Interval(float(area[0]), max(0.0, area[0] - z * error), min(1.0, area[0] + z * error), error)


def paired_delong(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> PairedDeLong:
    """Whether two scores of the same rows rank differently well."""
    positive, values = _binary(labels, first)
    area, covariance = _covariance(positive, np.stack([values, _binary(labels, second)[1]]))
    difference = float(area[1] - area[0])
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    error = math.sqrt(max(0.0, float(variance)))
    # Scores that rank alike leave rounding alone in both; that is no difference, not an infinitely sure one.
    z = difference / error if error > 1e-12 else 0.0
    return PairedDeLong(float(area[0]), float(area[1]), difference, error, z, math.erfc(abs(z) / math.sqrt(2)))


def _covariance(positive: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """AUCs of the rows of `scores` and their DeLong covariance, from midranks: O(n log n)."""
    m, n = int(positive.sum()), int((~positive).sum())
    if min(m, n) < 2:
        raise ValueError(f"DeLong: {m} positive and {n} negative rows; it needs two of each")
    above_negatives = np.empty((len(scores), m))
    below_positives = np.empty((len(scores), n))
    for row, values in enumerate(scores):
        ranks = _midranks(values)
        above_negatives[row] = (ranks[positive] - _midranks(values[positive])) / n
        below_positives[row] = 1.0 - (ranks[~positive] - _midranks(values[~positive])) / m
    covariance = np.atleast_2d(np.cov(above_negatives)) / m + np.atleast_2d(np.cov(below_positives)) / n
    return above_negatives.mean(1), covariance


def _midranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    order = np.argsort(values)
    return _ranks_of_sorted(order, np.diff(values[order]) != 0)


def _midranks_by(values: Floats, group: NDArray[np.int64]) -> Floats:
    """The same over rows sorted by group first: a group's ranks follow those of the groups before it."""
    order = np.lexsort((values, group))
    return _ranks_of_sorted(order, (np.diff(values[order]) != 0) | (np.diff(group[order]) != 0))


def _ranks_of_sorted(order: NDArray[np.int64], changes: NDArray[np.bool_]) -> Floats:
    edges = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(order)]])
    shared = (edges[:-1] + edges[1:] + 1) / 2  # mean of ranks edges[i] + 1 .. edges[i + 1]
    ranks = np.empty(len(order))
    ranks[order] = np.repeat(shared, np.diff(edges))
    return ranks


def _rows(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    truth: NDArray[Any] = np.asarray(labels)
    values = np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape or not truth.size:
        raise ValueError(f"labels {truth.shape} and scores {values.shape}: must be one value each for at least one row")
    if not np.isfinite(values).all():
        raise ValueError(f"scores: {int((~np.isfinite(values)).sum())} of {values.size} are NaN or infinite")
    positive = truth == 1
    if not (positive | (truth == 0)).all():
        raise ValueError(f"labels: must be 0 or 1, found {truth[~(positive | (truth == 0))][0]!r}")
    return positive, values


def _binary(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    positive, values = _rows(labels, scores)
    if positive.all() or not positive.any():
        raise ValueError(f"AUC: all {positive.size} rows have the label {int(positive[0])}; it needs both classes")
    return positive, values


def _probabilities(values: Floats) -> Floats:
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"probabilities: must lie in [0, 1], found {values.min():g} to {values.max():g}; scores are no logits"
        )
    return values
