"""Whether one arm is better than another, given that another sample of users and another seed would give other AUCs.

Two arms are compared on the same rows with the same seeds. Their difference varies for two reasons, which add up:
which users were drawn (DeLong's variance of the difference averaged over seeds, a user's rows taken together) and which
seeds (the variance of the difference over seeds, divided by their number). Satterthwaite's degrees of freedom weigh
the many users against the few seeds. Noise that belongs to a row and a seed at once is counted in both, so the test
errs on the side of "inconclusive".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from components.evaluate.uncertainty import auc_influence, error_by_user

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
LEVEL = 0.05
_NOTHING = 1e-12  # a smaller standard error is rounding


@dataclass(frozen=True)
class Mean:
    """Over seeds, with its t interval; one seed has none."""

    mean: float
    sd: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Ranking:
    """One arm with one seed: its AUC, and by how much each row pulls it."""

    auc: float
    influence: Floats


@dataclass(frozen=True)
class Difference:
    """`low` and `high` hold the difference with 95%; unbounded where too few users or seeds were there to tell."""

    difference: float
    low: float | None
    high: float | None
    p: float
    seeds: int


def ranking(labels: Ints, scores: Floats) -> Ranking:
    return Ranking(*auc_influence(labels, scores))


def mean_over_seeds(values: Sequence[float]) -> Mean:
    mean = float(np.mean(values))
    if len(values) < 2:
        return Mean(mean, None, None, None)
    sd = float(np.std(values, ddof=1))
    reach = float(student.ppf(1 - LEVEL / 2, len(values) - 1)) * sd / math.sqrt(len(values))
    return Mean(mean, sd, mean - reach, mean + reach)


def compare(ours: Sequence[Ranking], theirs: Sequence[Ranking], users: Ints) -> Difference:
    """`ours` minus `theirs`, seed by seed on the same rows. One seed alone tells of users, not of seeds."""
    seeds = len(ours)
    if not seeds or seeds != len(theirs):
        raise ValueError(f"a paired comparison needs the same seeds twice: got {seeds} and {len(theirs)}")
    by_seed = np.array([our.auc - their.auc for our, their in zip(ours, theirs, strict=True)])
    pull = sum(our.influence - their.influence for our, their in zip(ours, theirs, strict=True)) / seeds
    of_users = error_by_user(np.asarray(pull), users) ** 2
    of_seeds = float(by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
    difference, error = float(by_seed.mean()), math.sqrt(of_users + of_seeds)
    if error < _NOTHING:  # the same ranking twice, or a difference without any doubt
        return Difference(difference, difference, difference, 1.0 if abs(difference) < _NOTHING else 0.0, seeds)
    if not math.isfinite(error):
        return Difference(difference, None, None, 1.0, seeds)
    freedom = (of_users + of_seeds) ** 2 / (
        of_users**2 / max(1, len(np.unique(users)) - 1) + of_seeds**2 / max(1, seeds - 1)
    )
    reach = float(student.ppf(1 - LEVEL / 2, freedom)) * error
    p = 2 * float(student.sf(abs(difference) / error, freedom))
    return Difference(difference, difference - reach, difference + reach, p, seeds)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted so that the chance of one false alarm or more among all of them stays below the level."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def verdict(found: Difference, p_holm: float) -> str:
    """One seed proves nothing about an arm: another one might turn the difference round."""
    if p_holm >= LEVEL or found.seeds < 2:
        return "inconclusive"
    return "better" if found.difference > 0 else "worse"
