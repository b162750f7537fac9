"""Whether what was learned holds for other users: on test as on valid, and on valid as on train."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.diagnosis.finding import ONE_USER, Finding, not_measured, surely_above
from components.statistics.auc import Floats, Ints, auc_influence
from components.statistics.intervals import error_by_user

Json = dict[str, Any]
LEAST_FALL = 0.01  # AUC: how far valid may fall between two epochs before anyone need know


@dataclass(frozen=True)
class Rows:
    """Rows with the candidate's scores."""

    labels: Ints
    scores: Floats
    users: Ints

    def at(self, numbers: Ints) -> "Rows":
        return Rows(self.labels[numbers], self.scores[numbers], self.users[numbers])


def learning_findings(valid: Rows, measured: Rows, split: str, curves: Sequence[Json]) -> list[Finding]:
    """`valid` chose the epoch that was kept; the measured rows, of `split`, did not."""
    area, influence = auc_influence(valid.labels, valid.scores)
    other, its_influence = auc_influence(measured.labels, measured.scores)
    # One sum a user: users in both splits bring the covariance of the two AUCs, and without any the variances add up.
    users = np.concatenate([valid.users, measured.users])
    error = error_by_user(np.concatenate([influence, -its_influence]), users)
    gap = _gap(area - other, error, split, curves)
    return [gap, _fall(curves, error_by_user(influence, valid.users))]


def _gap(gap: float, error: float, split: str, curves: Sequence[Json]) -> Finding:
    name, called = "test_below_valid", "test" if split == "test" else "the half of valid that is measured"
    title = f"{called[0].upper()}{called[1:]} is below valid by more than chance"
    if not np.isfinite(error):
        return not_measured(name, title, 0.0, ONE_USER)
    low = surely_above(gap, error)
    return Finding(
        name,
        title,
        low > 0,
        low,
        0.0,
        f"AUC on valid minus AUC on {called} is {gap:+.4f}, surely at least {low:+.4f}; above 0 that is more than "
        f"chance. {early_stopping(curves)}",
        "The AUC on valid promises too much. If early stopping chose among many epochs, let more rows of valid choose; "
        "else the two splits differ (later days, new items, another draw of negatives): read the slices, and make "
        "valid as like test as test is like tomorrow.",
    )


def early_stopping(curves: Sequence[Json]) -> str:
    """What it did, in a sentence."""
    if not curves:
        return "The training left no curves."
    best = max(curves, key=lambda row: float(row["valid_auc"]))
    if best is curves[-1]:
        return f"Early stopping kept the last of {len(curves)} epochs, so valid had not begun to fall."
    return (
        f"Early stopping kept epoch {best['epoch'] + 1} of {len(curves)}, with AUC {best['valid_auc']:.4f} on valid; "
        f"the last had {curves[-1]['valid_auc']:.4f}."
    )


def _fall(curves: Sequence[Json], error: float) -> Finding:
    """From the best epoch to the last. Their AUCs are of the same rows, so the error of one is more than enough."""
    name, title = "valid_falls", "AUC on valid falls while the loss on train falls"
    if not curves:
        return not_measured(name, title, LEAST_FALL, "the training left no curves")
    best, last = max(curves, key=lambda row: float(row["valid_auc"])), curves[-1]
    fall, gained = best["valid_auc"] - last["valid_auc"], best["train_loss"] - last["train_loss"]
    if not np.isfinite(error):
        return not_measured(name, title, LEAST_FALL, ONE_USER)
    limit = max(LEAST_FALL, -surely_above(0.0, error))
    return Finding(
        name,
        title,
        gained > 0 and fall > limit,
        fall,
        limit,
        f"From epoch {best['epoch'] + 1}, the best on valid, to epoch {last['epoch'] + 1}, the last, the AUC on valid "
        f"fell by {fall:.4f} and the loss on train by {gained:.4f}. A fall by more than {limit:.4f} is no chance.",
        "The ranker memorises its training rows; the best epoch was kept, but it has learned little that holds for "
        "others. Give it more rows, or regularise it more (model.deep_dropout, train.embedding_l2, "
        "train.weight_decay), or make it smaller.",
    )
