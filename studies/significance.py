"""Whether one arm is better than another, given that another sample of users and other seeds would give other AUCs.

Two arms are compared on the same rows with the same seeds. Their difference varies for two reasons, which add up: which
users were drawn (DeLong's variance of the difference averaged over seeds, a user's rows taken together), and which
seeds. Three seeds say little about how much seeds matter, and a test that trusts them alone (Satterthwaite's)
raises a false alarm in one study of five where seeds matter most. So the variance over seeds is estimated from all arms
of the study together (Smyth's moderated variances, 2004), and the two parts keep their own t distribution (Cochran and
Cox). Noise that belongs to a row and a seed at once is counted in both parts. If two arms happen to benefit from the
same seed, the test does not count that as evidence. So it errs on the side of "inconclusive".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import digamma, polygamma
from scipy.stats import t as student

from components.statistics.auc import auc_influence
from components.statistics.intervals import error_by_user

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
LEVEL = 0.05
_NOTHING = 1e-12  # smaller is rounding
_SMALLEST = -230.0  # logarithm of the smallest p-value that is given, 1e-100


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


@dataclass(frozen=True)
class SeedNoise:
    """How much an arm's AUC varies from seed to seed, and how many degrees of freedom that is known with."""

    variance: float
    freedom: float


def seed_noise(aucs: Mapping[str, Sequence[float]]) -> dict[str, SeedNoise]:
    """Each arm's own variance over seeds, drawn towards what the study's arms have in common. One seed has none.

    The more alike the arms' variances are, the more they count as one; never for more than all of them together.
    """
    several = {arm: values for arm, values in aucs.items() if len(values) > 1}
    own = np.array([np.var(values, ddof=1) for values in several.values()])
    freedom = np.array([len(values) - 1 for values in several.values()], dtype=np.float64)
    if len(own) < 2 or not own.max() > 0:
        return {arm: SeedNoise(float(v), float(d)) for arm, v, d in zip(several, own, freedom, strict=True)}
    logs = np.log(np.maximum(own, own.max() * _NOTHING)) - digamma(freedom / 2) + np.log(freedom / 2)
    # What the logarithms scatter beyond chance is how much the arms' true variances differ.
    scatter = float(np.var(logs, ddof=1) - polygamma(1, freedom / 2).mean())
    if scatter > 0:
        shared = 2 * _inverse_trigamma(scatter)
        common = math.exp(logs.mean() + digamma(shared / 2) - math.log(shared / 2))
        moderated = (shared * common + freedom * own) / (shared + freedom)
        known = np.minimum(shared + freedom, freedom.sum())
    else:
        moderated = np.full(len(own), np.average(own, weights=freedom))
        known = np.full(len(own), freedom.sum())
    return {arm: SeedNoise(float(v), float(d)) for arm, v, d in zip(several, moderated, known, strict=True)}


def _inverse_trigamma(value: float) -> float:
    return math.exp(brentq(lambda x: float(polygamma(1, math.exp(x))) - value, -30.0, 30.0))


def compare(
    ours: Sequence[Ranking], theirs: Sequence[Ranking], users: Ints, noise: Sequence[SeedNoise] = ()
) -> Difference:
    """`ours` minus `theirs`, seed by seed on the same rows; `noise` is that of the two arms, of more than one seed."""
    seeds = len(ours)
    if not seeds or seeds != len(theirs):
        raise ValueError(f"a paired comparison needs the same seeds twice: got {seeds} and {len(theirs)}")
    difference = float(np.mean([our.auc - their.auc for our, their in zip(ours, theirs, strict=True)]))
    pulls = [our.influence - their.influence for our, their in zip(ours, theirs, strict=True)]
    if abs(difference) < _NOTHING and all(np.abs(pull).max() < _NOTHING for pull in pulls):
        return Difference(0.0, 0.0, 0.0, 1.0, seeds)  # the same ranking, seed by seed
    of_users = error_by_user(np.mean(pulls, axis=0), users) ** 2
    of_seeds = sum(each.variance for each in noise) / seeds
    if not math.isfinite(of_users):
        return Difference(difference, None, None, 1.0, seeds)
    error = math.sqrt(of_users + of_seeds)
    share = of_seeds / (of_users + of_seeds) if error else 0.0
    spread = Spread(share, max(1, len(np.unique(users)) - 1), min((each.freedom for each in noise), default=1.0))
    reach = spread.quantile(LEVEL) * error
    p = spread.p_value(abs(difference) / error) if error else 0.0
    return Difference(difference, difference - reach, difference + reach, p, seeds)


@dataclass(frozen=True)
class Spread:
    """How far a difference may be off, in standard errors: two t distributions, weighed by their parts of variance."""

    of_seeds: float  # their part, from 0 to 1
    users_freedom: float
    seeds_freedom: float

    def quantile(self, p: float) -> float:
        """What chance alone exceeds, on either side, with probability `p`."""
        of_users = float(student.isf(p / 2, self.users_freedom))
        if self.of_seeds == 0:
            return of_users
        return (1 - self.of_seeds) * of_users + self.of_seeds * float(student.isf(p / 2, self.seeds_freedom))

    def p_value(self, errors: float) -> float:
        if errors <= self.quantile(1.0):
            return 1.0
        if errors >= self.quantile(math.exp(_SMALLEST)):
            return math.exp(_SMALLEST)
        return math.exp(brentq(lambda log_p: self.quantile(math.exp(log_p)) - errors, _SMALLEST, 0.0, xtol=1e-9))


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
