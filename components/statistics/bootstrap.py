"""The bootstrap by user: what other samples of users would have shown."""

from dataclasses import dataclass

import numpy as np

from components.statistics.auc import Floats, Ints, aucs_of_users
from components.statistics.intervals import Estimate, percentile_estimate


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
