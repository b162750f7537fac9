"""Bounds that hold at every look: whoever looks each morning, and stops when the difference is clear, errs no more
often than who looks once.

A bound at a fixed size of the sample is wrong in a share alpha of all samples; looked at again and again, it is wrong
at some look far more often. Here the likelihood ratio against "no difference" is averaged over all differences that are
possible, with half a normal distribution as weights (the mixture sequential probability ratio test, Robbins 1970, in
its one-sided form). The ratio exceeds 1 / alpha at any look with a probability of at most alpha. For estimates that
are normal only in large samples this holds in large samples (asymptotic confidence sequences, Waudby-Smith and others
2021), so nothing is judged before there are `FEWEST` users and `FEWEST_CLICKS` clicks.

No memory of earlier looks is needed: a look takes all that was seen so far.
"""

import math
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.special import log_ndtr

FEWEST = 200  # users, or requests that name none, in each of the groups that are compared
FEWEST_CLICKS = 50  # with 12 clicks in the smaller group, one equal challenger in nine was called worse at some look


@dataclass(frozen=True)
class Sequential:
    """Two one-sided bounds: each is on the wrong side of the truth at any look with probability `alpha` at most."""

    value: float
    error: float
    low: float
    high: float
    p_better: float  # always valid, one-sided: for "the difference is at most `margin`"

    def as_json(self) -> dict[str, float]:
        return vars(self).copy()


def always_valid(value: float, error: float, effect: float, alpha: float, margin: float = 0.0) -> Sequential:
    """`effect` is the difference at which the bounds are narrowest. It must be chosen before the data are seen."""
    reach = _reach(error, effect, alpha)
    p = math.exp(-min(700.0, max(0.0, log_ratio(value - margin, error, effect))))
    return Sequential(value, error, value - reach, value + reach, p)


def log_ratio(difference: float, error: float, effect: float) -> float:
    """Of "somewhere above 0" against "0", of a difference with this standard error."""
    information, weight = error**-2, effect**-2
    score = difference * information
    spread = math.sqrt(information + weight)
    ratio = math.log(2) + 0.5 * math.log(weight) - math.log(spread) + 0.5 * (score / spread) ** 2
    return ratio + float(log_ndtr(score / spread))


def _reach(error: float, effect: float, alpha: float) -> float:
    """The difference whose ratio is 1 / alpha."""
    if not math.isfinite(error) or error <= 0:
        return math.inf
    limit = -math.log(alpha)
    top = error
    while log_ratio(top, error, effect) < limit:
        top *= 2
    return float(brentq(lambda at: log_ratio(at, error, effect) - limit, 0.0, top))
