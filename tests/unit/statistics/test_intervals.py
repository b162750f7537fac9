"""Intervals cover the truth, and tests err, as often as they say: in simulations whose truth is known."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from components.statistics.auc import Floats, Ints, auc_influence, aucs_of_users
from components.statistics.bootstrap import WeightedAuc, bootstrap_users
from components.statistics.intervals import (
    auc_by_row,
    auc_by_user,
    difference_by_row,
    difference_by_user,
    one_sided_bounds,
    p_better,
    percentile_estimate,
)

SIMULATIONS = 400
# What a share of 0.95 may come out as in 400 tries, at 4 standard errors
NOMINAL = (0.95 - 0.0436, 0.95 + 0.0436)


def draw(seed: int, users: int = 150, rows: int = 6, gain: float = 0.0) -> tuple[Ints, Floats, Floats, Ints]:
    """Two models that each misjudge whole users; `gain` > 0 lets the first see more of the truth."""
    random = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), rows)
    taste = 0.8 * random.normal(size=users)[user] + 0.6 * random.normal(size=len(user))
    labels = (random.random(len(user)) < 1 / (1 + np.exp(1.0 - 1.5 * taste))).astype(np.int64)
    scores = [
        (1 + g) * taste + random.normal(size=users)[user] + 0.3 * random.normal(size=len(user)) for g in (gain, 0)
    ]
    return labels, scores[0], scores[1], user


def rounded(seed: int) -> tuple[Ints, Floats, Floats, Ints]:
    labels, first, second, users = draw(seed)
    return labels, np.round(first, 1), np.round(second, 1), users


@pytest.mark.parametrize("world", [draw, rounded], ids=["distinct scores", "ties"])
def test_influence_is_that_of_the_auc(world: Any) -> None:
    labels, first, second, _ = world(3)
    auc, influence = auc_influence(labels, first)
    assert auc == pytest.approx(roc_auc_score(labels, first), abs=1e-12)
    assert influence.sum() == pytest.approx(0, abs=1e-12)
    positive = labels == 1
    unclustered = np.sqrt(
        influence[positive].var(ddof=1) * positive.sum() + influence[~positive].var(ddof=1) * (~positive).sum()
    )
    assert auc_by_row(labels, first, 0.95).error == pytest.approx(unclustered, rel=1e-9)
    assert difference_by_row(labels, first, second, 0.95).value == auc - auc_influence(labels, second)[0]


def test_one_class_has_no_auc() -> None:
    with pytest.raises(ValueError, match="it needs both classes"):
        auc_influence(np.ones(3, dtype=np.int64), np.arange(3.0))


@pytest.mark.parametrize("world", [draw, rounded], ids=["distinct scores", "ties"])
def test_users_own_aucs(world: Any) -> None:
    labels, scores, _, users = world(5)
    own = aucs_of_users(labels, scores, users)
    for index, auc in list(zip(own.index, own.aucs, strict=True))[:40]:
        assert auc == pytest.approx(roc_auc_score(labels[users == index], scores[users == index]), abs=1e-12)
    assert own.mean == pytest.approx(np.average(own.aucs, weights=np.bincount(users)[own.index]), abs=1e-12)


@pytest.mark.parametrize("world", [draw, rounded], ids=["distinct scores", "ties"])
def test_weighted_auc(world: Any) -> None:
    labels, scores, _, users = world(7)
    weights = np.random.default_rng(0).integers(0, 4, users.max() + 1).astype(float)
    expected = roc_auc_score(labels, scores, sample_weight=weights[users])
    assert WeightedAuc(labels, scores, users)(weights) == pytest.approx(expected, abs=1e-12)


def test_interval_by_user_covers_the_truth_where_that_by_row_does_not() -> None:
    """Both models are equally good by construction: the truth is 0."""
    by_user = by_row = 0
    for seed in range(SIMULATIONS):
        labels, first, second, users = draw(seed)
        estimate = difference_by_user(labels, first, second, users, 0.95)
        naive = difference_by_row(labels, first, second, 0.95)
        by_user += estimate.low <= 0 <= estimate.high
        by_row += naive.low <= 0 <= naive.high
    assert NOMINAL[0] <= by_user / SIMULATIONS <= NOMINAL[1]
    assert by_row / SIMULATIONS < 0.9  # what taking rows for strangers costs


def test_interval_of_one_auc_covers_the_truth() -> None:
    labels, scores, _, _ = draw(10**6, users=60_000)
    truth = roc_auc_score(labels, scores)
    covered = 0
    for seed in range(SIMULATIONS):
        labels, scores, _, users = draw(seed)
        estimate = auc_by_user(labels, scores, users, 0.95)
        covered += estimate.low <= truth <= estimate.high
    assert NOMINAL[0] <= covered / SIMULATIONS <= NOMINAL[1]


def test_size_and_power_of_the_test_for_a_gain() -> None:
    """Between equal models it is fooled alpha of the time; a real gain it finds nearly always."""
    fooled, found = 0, 0
    for seed in range(SIMULATIONS):
        for gain in (0.0, 2.0):
            labels, first, second, users = draw(seed, gain=gain)
            estimate = difference_by_user(labels, first, second, users, 0.95)
            said = p_better(estimate.value, estimate.error) < 0.05
            fooled, found = (fooled + said, found) if gain == 0 else (fooled, found + said)
    assert 0.05 - 0.0436 <= fooled / SIMULATIONS <= 0.05 + 0.0436
    assert found / SIMULATIONS > 0.95


def test_one_sided_bounds_are_each_wrong_as_often_as_they_say() -> None:
    """Normal draws around a truth of 0."""
    values = np.random.default_rng(1).normal(size=20_000)
    low, high = np.array([one_sided_bounds(value, 1.0, 0.05) for value in values]).T
    assert (low > 0).mean() == pytest.approx(0.05, abs=0.006)
    assert (high < 0).mean() == pytest.approx(0.05, abs=0.006)


def test_no_difference_at_all_is_not_significant() -> None:
    assert p_better(0.0, 0.0) == 1.0
    assert p_better(0.01, 0.0) == 0.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_bootstrap_agrees_with_the_formula(seed: int) -> None:
    labels, first, second, users = draw(seed, gain=0.3)
    bootstrap = bootstrap_users(labels, [first, second], users, 600, seed)
    analytic = difference_by_user(labels, first, second, users, 0.95)
    resampled = bootstrap.difference(analytic.value, 0, 1, 0.95)
    assert resampled.error == pytest.approx(analytic.error, rel=0.15)
    assert resampled.low == pytest.approx(analytic.low, abs=0.4 * analytic.error)
    assert resampled.high == pytest.approx(analytic.high, abs=0.4 * analytic.error)


def test_bootstrap_covers_the_truth() -> None:
    covered, simulations = 0, 150
    for seed in range(simulations):
        labels, first, second, users = draw(seed, users=80)
        observed = auc_influence(labels, first)[0] - auc_influence(labels, second)[0]
        estimate = bootstrap_users(labels, [first, second], users, 150, seed).difference(observed, 0, 1, 0.95)
        covered += estimate.low <= 0 <= estimate.high
    assert 0.88 <= covered / simulations <= 0.99


def test_bootstrap_is_seeded_and_redraws_users_whole() -> None:
    labels, first, second, users = draw(11)
    again = [bootstrap_users(labels, [first, second], users, 100, seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(again[0].aucs, again[1].aucs)
    assert not np.array_equal(again[0].aucs, again[2].aucs)
    # The names of users and the order of rows mean nothing.
    shuffle = np.random.default_rng(0).permutation(len(users))
    same = bootstrap_users(labels[shuffle], [first[shuffle], second[shuffle]], users[shuffle], 100, 1)
    np.testing.assert_allclose(same.aucs, again[0].aucs, atol=1e-12)
    # Every user redrawn together with a copy of itself: the same users, twice the rows, the same spread.
    doubled = [np.concatenate([a, a]) for a in (labels, first, second, users)]
    twice = bootstrap_users(doubled[0], doubled[1:3], doubled[3], 100, 1)
    np.testing.assert_allclose(twice.aucs, again[0].aucs, atol=1e-12)


def test_redraws_without_a_click_are_left_out() -> None:
    """One user holds every click: a third of the redraws miss it, and say nothing."""
    labels = np.array([1, 0, 0, 0, 0, 0])
    users = np.array([0, 0, 1, 1, 2, 2])
    bootstrap = bootstrap_users(labels, [np.arange(6.0)[::-1]], users, 300, 1)
    missing = np.isnan(bootstrap.aucs[:, 0])
    assert 0.2 < missing.mean() < 0.4
    estimate = percentile_estimate(1.0, bootstrap.aucs[:, 0], 0.95)
    assert (estimate.low, estimate.high) == (1.0, 1.0)


def test_an_estimate_without_samples_is_unbounded() -> None:
    estimate = percentile_estimate(0.5, np.full(100, np.nan), 0.95)
    assert estimate.error == float("inf")
    single = auc_by_user(np.array([1, 0, 1]), np.array([3.0, 1.0, 2.0]), np.zeros(3, dtype=np.int64), 0.95)
    assert single.high == float("inf")  # one user: nothing is known of the next
