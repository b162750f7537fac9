"""Bounds that may be looked at again and again."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from components.statistics.sequential import always_valid, log_ratio


@pytest.mark.parametrize(
    ("difference", "error", "effect"), [(0.01, 0.004, 0.005), (-0.02, 0.01, 0.01), (0.0, 0.1, 0.5)]
)
def test_the_ratio_is_the_average_over_all_positive_differences(difference: float, error: float, effect: float) -> None:
    def weighted(truth: float) -> float:
        ratio = norm.pdf(difference, truth, error) / norm.pdf(difference, 0, error)
        return float(2 * norm.pdf(truth, 0, effect) * ratio)

    area, _ = quad(weighted, 0, 20 * effect, points=[effect], epsabs=1e-12)
    assert math.exp(log_ratio(difference, error, effect)) == pytest.approx(area, rel=1e-6)


def test_the_bounds_are_wider_than_those_of_one_look_and_narrow_with_the_sample() -> None:
    wide, narrow = (always_valid(0.01, error, 0.005, 0.05) for error in (0.004, 0.002))
    for found, error in ((wide, 0.004), (narrow, 0.002)):
        assert found.value - found.low == pytest.approx(found.high - found.value)
        assert found.value - found.low > float(norm.isf(0.05)) * error
    assert narrow.low > wide.low
    assert always_valid(0.0, math.inf, 0.005, 0.05).low == -math.inf


def test_the_bound_and_the_p_value_agree() -> None:
    for value in np.linspace(-0.01, 0.02, 13):
        for margin in (0.0, -0.005):
            found = always_valid(float(value), 0.003, 0.005, 0.05, margin)
            assert (found.low > margin) == (found.p_better < 0.05)


def test_looking_again_and_again_at_nothing_errs_as_seldom_as_it_says() -> None:
    """1,000 runs of equal means, each looked at after every one of 100 steps."""
    walks = np.cumsum(np.random.default_rng(1).normal(size=(1000, 100)), axis=1)
    errors = 1 / np.sqrt(np.arange(1, 101))
    limits = np.array([always_valid(0.0, float(error), 0.3, 0.1).high for error in errors])
    means = walks * errors**2
    assert 0 < (means > limits).any(axis=1).mean() < 0.1
    assert (means > norm.isf(0.1) * errors).any(axis=1).mean() > 0.3
