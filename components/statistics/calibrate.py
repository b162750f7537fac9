"""Finds the rising map from logits to logits that can be used: Platt's line, or isotonic steps joined by lines,
whichever predicts rows better that it was not fitted on.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from components.statistics.auc import Floats, Ints
from components.statistics.calibration import log_loss
from model.calibration import LogitMap

Fit = Callable[[Ints, Floats], LogitMap]

FOLDS = 5  # groups of users; the rows of each are predicted by a map that was fitted on the others
_KNOTS = 40  # at most
_ROWS_A_KNOT = 50  # at least: the click rate of fewer rows is mostly chance
_LEAST_SLOPE = 1e-3  # on a flat line different rows would get the same score, which lowers the AUC
_APART = 0.05  # the least distance between two knots, as logits


def calibrated(labels: Ints, logits: Floats, users: Ints, method: str) -> tuple[LogitMap, dict[str, float]]:
    """The map, and by method the log loss on the rows of users that it was not fitted on."""
    losses = {"none": log_loss(labels, expit(logits))}
    fold = np.unique(users, return_inverse=True)[1] % FOLDS
    if all(0 < labels[fold != part].sum() < (fold != part).sum() for part in range(FOLDS)):
        for name, fit in _METHODS.items():
            losses[name] = log_loss(labels, expit(_out_of_sample(labels, logits, fold, fit)))
    chosen = min(losses, key=lambda name: losses[name]) if method == "auto" else method
    return (_METHODS[chosen](labels, logits) if chosen in _METHODS else LogitMap()), losses


def corrected(found: LogitMap, negatives_kept: float) -> LogitMap:
    """For rows that kept only this share of the non-clicks: the true odds of a click are smaller by this factor."""
    shift = float(np.log(negatives_kept))
    return replace(found, knots=tuple((x, y + shift) for x, y in found.knots), negatives_kept=negatives_kept)


def given(found: LogitMap, logits: Floats) -> Floats:
    """What `model.calibration.Calibration` computes, in float64."""
    from_K, to_K = np.array(found.knots).T
    outside = np.minimum(logits - from_K[0], 0) + np.maximum(logits - from_K[-1], 0)
    return np.asarray(np.interp(logits, from_K, to_K) + found.slope * outside)


def _platt(labels: Ints, logits: Floats) -> LogitMap:
    line = LogisticRegression(C=1e4, max_iter=1000).fit(logits[:, None], labels)
    return LogitMap("platt", ((0.0, float(line.intercept_[0])),), max(float(line.coef_[0, 0]), _LEAST_SLOPE))


def _isotonic(labels: Ints, logits: Floats) -> LogitMap:
    """Rows in the order of their logits form groups. Each click rate is drawn to the mean rate with the weight of one
    row, so that none is 0 or 1.
    """
    order = np.argsort(logits, kind="stable")
    groups = max(1, min(_KNOTS, len(order) // _ROWS_A_KNOT))
    starts = np.linspace(0, len(order), groups, endpoint=False).astype(np.int64)
    rows = np.diff(np.r_[starts, len(order)])
    means = np.add.reduceat(logits[order], starts) / rows
    rates = (np.add.reduceat(labels[order].astype(np.float64), starts) + labels.mean()) / (rows + 1)
    rising = logit(IsotonicRegression().fit_transform(np.arange(len(rows)), rates, sample_weight=rows))
    knots = [(float(means[0]), float(rising[0]))]
    for mean, rate in zip(means.tolist(), rising.tolist(), strict=True):
        if mean - knots[-1][0] >= _APART:
            knots.append((mean, max(rate, knots[-1][1] + _LEAST_SLOPE * (mean - knots[-1][0]))))
    return LogitMap("isotonic", tuple(knots))


_METHODS: dict[str, Fit] = {"platt": _platt, "isotonic": _isotonic}


def _out_of_sample(labels: Ints, logits: Floats, fold: Ints, fit: Fit) -> Floats:
    held_out = np.empty(len(logits))
    for part in range(FOLDS):
        mine = fold == part
        held_out[mine] = given(fit(labels[~mine], logits[~mine]), logits[mine])
    return held_out
