"""The AUC: the chance that a clicked row scores above one that was not clicked, ties counting half.

Labels are 0 or 1, scores any finite numbers, one of each a row.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    clicked, values = two_classes(labels, scores)
    return _area(rankdata(values), clicked)


def auc_influence(labels: ArrayLike, scores: ArrayLike) -> tuple[float, Floats]:
    """The AUC, and the influence of each row on it: DeLong's structural components, scaled and centred to sum to 0.

    Summing their squares gives DeLong's variance; summing them by user first gives Obuchowski's for clustered rows.
    """
    clicked, values = two_classes(labels, scores)
    clicks, others = int(clicked.sum()), int((~clicked).sum())
    among_all = rankdata(values)
    area = _area(among_all, clicked)
    below = np.empty(len(values))
    below[clicked] = (among_all[clicked] - rankdata(values[clicked])) / others
    below[~clicked] = 1.0 - (among_all[~clicked] - rankdata(values[~clicked])) / clicks
    return area, np.where(clicked, (below - area) / clicks, (below - area) / others)


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


def aucs_of_users(labels: ArrayLike, scores: ArrayLike, users: ArrayLike) -> UserAucs:
    """One sort for all users: ranks within a user are ranks among all, shifted by where the user's block begins."""
    clicked, values = checked(labels, scores)
    _, index = np.unique(np.asarray(users), return_inverse=True)
    if index.shape != clicked.shape:
        raise ValueError(f"users: {index.size} values for {clicked.size} rows; there must be one a row")
    order = np.lexsort((values, index))
    user, score, label = index[order], values[order], clicked[order]
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


def checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Which rows were clicked, and the scores. Raises ValueError for anything else than labels and scores."""
    truth: NDArray[Any] = np.asarray(labels)
    values: NDArray[Any] = np.asarray(scores)
    if truth.ndim != 1 or truth.shape != values.shape or not truth.size:
        raise ValueError(f"labels {truth.shape} and scores {values.shape}: must be one value each for at least one row")
    if not np.isfinite(values).all():
        raise ValueError(f"scores: {int((~np.isfinite(values)).sum())} of {values.size} are NaN or infinite")
    clicked = truth == 1
    if not (clicked | (truth == 0)).all():
        raise ValueError(f"labels: must be 0 or 1, found {truth[~(clicked | (truth == 0))][0]!r}")
    return clicked, values


def two_classes(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """The same, and a `ValueError` as well where all labels are alike."""
    clicked, values = checked(labels, scores)
    if clicked.all() or not clicked.any():
        raise ValueError(f"AUC: all {clicked.size} rows have the label {int(clicked[0])}; it needs both classes")
    return clicked, values


def _area(ranks: Floats, clicked: NDArray[np.bool_]) -> float:
    clicks = int(clicked.sum())
    return float((ranks[clicked].sum() - clicks * (clicks + 1) / 2) / (clicks * (len(ranks) - clicks)))
