"""How far an AUC, or the difference of two on the same rows, may be off by chance.

Every function takes plain arrays. Rows of one user resemble each other, so their errors do not cancel as those of
strangers would; `by user` treats a user, not a row, as what was drawn at random.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error and a two-sided interval."""

    value: float
    error: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        return {"value": self.value, "error": self.error, "low": self.low, "high": self.high}


def two_sided_z(confidence: float) -> float:
    return float(norm.ppf(0.5 + confidence / 2))


def normal_estimate(value: float, error: float, confidence: float) -> Estimate:
    reach = two_sided_z(confidence) * error
    return Estimate(value, error, value - reach, value + reach)


def p_better(difference: float, error: float) -> float:
    """One-sided: how often chance alone would show a gain this large between two equal models."""
    if error == 0:
        return 0.0 if difference > 0 else 1.0
    return float(norm.sf(difference / error))


def auc_influence(labels: Ints, scores: Floats) -> tuple[float, Floats]:
    """The AUC, and by how much each row pulls it: DeLong's structural components, centred and scaled to sum to 0.

    Summing their squares gives DeLong's variance; summing them by user first gives Obuchowski's for clustered rows.
    """
    positive = labels == 1
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        raise ValueError(f"an AUC needs clicks and non-clicks; here are {positives} and {negatives}")
    among_all = rankdata(scores)
    below = np.empty(len(scores))
    below[positive] = (among_all[positive] - rankdata(scores[positive])) / negatives
    below[~positive] = 1.0 - (among_all[~positive] - rankdata(scores[~positive])) / positives
    auc = float(below[positive].mean())
    return auc, np.where(positive, (below - auc) / positives, (below - auc) / negatives)


def error_by_user(influence: Floats, users: Ints) -> float:
    _, index = np.unique(users, return_inverse=True)
    by_user = np.bincount(index, weights=influence)
    if len(by_user) < 2:
        return float("inf")
    return float(np.sqrt((by_user**2).sum() * len(by_user) / (len(by_user) - 1)))


def auc_by_user(labels: Ints, scores: Floats, users: Ints, confidence: float) -> Estimate:
    auc, influence = auc_influence(labels, scores)
    return normal_estimate(auc, error_by_user(influence, users), confidence)


def difference_by_user(labels: Ints, first: Floats, second: Floats, users: Ints, confidence: float) -> Estimate:
    """AUC of `first` minus AUC of `second` on the same rows."""
    auc_first, influence_first = auc_influence(labels, first)
    auc_second, influence_second = auc_influence(labels, second)
    error = error_by_user(influence_first - influence_second, users)
    return normal_estimate(auc_first - auc_second, error, confidence)


@dataclass(frozen=True)
class UserAucs:
    """Each user's own AUC, where a user has both clicks and non-clicks, weighted by rows."""

    index: Ints  # into the sorted distinct users
    aucs: Floats
    weights: Floats

    @property
    def mean(self) -> float | None:
        """The grouped AUC; None where no user has both."""
        return float(np.average(self.aucs, weights=self.weights)) if len(self.aucs) else None


def aucs_of_users(labels: Ints, scores: Floats, users: Ints) -> UserAucs:
    """One sort for all users: ranks within a user are ranks among all, shifted by where the user's block begins."""
    _, index = np.unique(users, return_inverse=True)
    order = np.lexsort((scores, index))
    user, score, label = index[order], scores[order], labels[order]
    first_of_tie = np.r_[True, (user[1:] != user[:-1]) | (score[1:] != score[:-1])]
    starts = np.flatnonzero(first_of_tie)
    sizes = np.diff(np.r_[starts, len(user)])
    rank = np.repeat(starts + (sizes + 1) / 2, sizes)
    rows = np.bincount(index)
    begin = np.cumsum(rows) - rows
    clicks = np.bincount(user, weights=label)
    rank_sum = np.bincount(user, weights=label * (rank - begin[user]))
    both = (clicks > 0) & (clicks < rows)
    won = rank_sum[both] - clicks[both] * (clicks[both] + 1) / 2
    aucs = won / (clicks[both] * (rows[both] - clicks[both]))
    return UserAucs(np.flatnonzero(both), aucs, rows[both].astype(np.float64))


@dataclass(frozen=True)
class Bootstrap:
    """What each redraw of the users gave."""

    aucs: Floats  # samples x models
    grouped: Floats  # samples x models
    users: int

    def difference(self, observed: float, first: int, second: int, confidence: float) -> Estimate:
        return percentile_estimate(observed, self.aucs[:, first] - self.aucs[:, second], confidence)

    def grouped_difference(self, observed: float, first: int, second: int, confidence: float) -> Estimate:
        return percentile_estimate(observed, self.grouped[:, first] - self.grouped[:, second], confidence)

    def grouped_estimate(self, observed: float, model: int, confidence: float) -> Estimate:
        return percentile_estimate(observed, self.grouped[:, model], confidence)


def percentile_estimate(observed: float, samples: Floats, confidence: float) -> Estimate:
    samples = samples[np.isfinite(samples)]
    if len(samples) < 50:
        return Estimate(observed, float("inf"), float("-inf"), float("inf"))
    low, high = np.quantile(samples, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Estimate(observed, float(samples.std(ddof=1)), float(low), float(high))


class WeightedAuc:
    """The AUC of one score under many weightings of its rows; the sort is paid once."""

    def __init__(self, labels: Ints, scores: Floats, users: Ints) -> None:
        order = np.argsort(scores, kind="stable")
        ordered = scores[order]
        self.users = users[order]
        self.label = labels[order].astype(np.float64)
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self.starts = None if len(starts) == len(scores) else starts

    def __call__(self, user_weights: Floats) -> float:
        weights = user_weights[self.users]
        clicks = weights * self.label
        others = weights - clicks
        if self.starts is not None:
            clicks, others = np.add.reduceat(clicks, self.starts), np.add.reduceat(others, self.starts)
        pairs = clicks.sum() * others.sum()
        if pairs == 0:
            return float("nan")  # this redraw holds no click, or nothing else
        return float(np.dot(clicks, np.cumsum(others) - others / 2) / pairs)


def bootstrap_users(labels: Ints, scores: list[Floats], users: Ints, samples: int, seed: int) -> Bootstrap:
    """Redraws the users with replacement, all their rows with them, and measures every model on the same redraw."""
    distinct, index = np.unique(users, return_inverse=True)
    count = len(distinct)
    random = np.random.default_rng(seed)
    weighted = [WeightedAuc(labels, score, index) for score in scores]
    by_user = [aucs_of_users(labels, score, index) for score in scores]
    aucs, grouped = np.empty((samples, len(scores))), np.empty((samples, len(scores)))
    for sample in range(samples):
        drawn = np.bincount(random.integers(count, size=count), minlength=count).astype(np.float64)
        for model in range(len(scores)):
            aucs[sample, model] = weighted[model](drawn)
            weights = drawn[by_user[model].index] * by_user[model].weights
            total = weights.sum()
            grouped[sample, model] = np.dot(weights, by_user[model].aucs) / total if total else np.nan
    return Bootstrap(aucs, grouped, count)


def finite(value: Any) -> Any:
    """JSON knows no infinity: what is unbounded is null."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
