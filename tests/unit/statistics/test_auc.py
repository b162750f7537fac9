"""AUCs, their intervals and calibration against scikit-learn or against a count over all pairs."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from components.statistics.auc import auc, aucs_of_users
from components.statistics.calibration import expected_calibration_error, log_loss, reliability_curve
from components.statistics.click_rate import click_rates
from components.statistics.intervals import auc_by_row, difference_by_row

Array = np.ndarray[Any, Any]


def rows(number: int = 400, ties: bool = False, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, number)
    scores = rng.normal(size=number) + labels
    return labels, np.round(scores) if ties else scores


def placements(labels: Array, scores: Array) -> tuple[Array, Array]:
    """DeLong's structural components, from all pairs."""
    above = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    wins = (above > 0) + 0.5 * (above == 0)
    return wins.mean(1), wins.mean(0)


@pytest.mark.parametrize("ties", [False, True], ids=["no ties", "ties"])
def test_auc_is_scikit_learns(ties: bool) -> None:
    labels, scores = rows(ties=ties)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_auc_of_equal_scores_is_one_half() -> None:
    assert auc([0, 1, 1], [2.0, 2.0, 2.0]) == 0.5


def test_auc_takes_booleans_floats_and_lists() -> None:
    assert auc([True, False], [1, 0]) == auc(np.array([1.0, 0.0]), np.array([1, 0], dtype=np.float32)) == 1.0


@pytest.mark.parametrize("ties", [False, True], ids=["no ties", "ties"])
def test_grouped_auc_averages_groups_by_their_rows(ties: bool) -> None:
    labels, scores = rows(ties=ties)
    groups = np.random.default_rng(1).integers(0, 90, len(labels)) * 7
    areas, weights = [], []
    for group in np.unique(groups):
        inside = groups == group
        if 0 < labels[inside].sum() < inside.sum():
            areas.append(roc_auc_score(labels[inside], scores[inside]))
            weights.append(inside.sum())
    assert len(areas) < len(np.unique(groups))
    assert aucs_of_users(labels, scores, groups).mean == pytest.approx(np.average(areas, weights=weights), abs=1e-12)


def test_grouped_auc_takes_names_as_groups() -> None:
    assert aucs_of_users([1, 0, 1], [2, 1, 0], ["a", "a", "b"]).mean == 1.0


def test_log_loss_is_scikit_learns_and_finite_at_certainty() -> None:
    labels, scores = rows()
    probabilities = 1 / (1 + np.exp(-scores))
    assert log_loss(labels, probabilities) == pytest.approx(sklearn_log_loss(labels, probabilities))
    assert np.isfinite(log_loss([1, 0], [0.0, 1.0]))


def test_calibration_against_a_loop_over_bins() -> None:
    labels, scores = rows()
    probabilities = 1 / (1 + np.exp(-scores))
    gap = 0.0
    for low in np.arange(10) / 10:
        inside = (probabilities >= low) & (probabilities < low + 0.1)
        if inside.any():
            gap += inside.mean() * abs(labels[inside].mean() - probabilities[inside].mean())
    assert expected_calibration_error(labels, probabilities, bins=10) == pytest.approx(gap)


def test_the_reliability_curve_leaves_empty_bins_out_and_keeps_certainty_in() -> None:
    curve = reliability_curve([0, 1, 1], [0.05, 1.0, 0.96], bins=10)
    assert curve.count.tolist() == [1, 2]
    assert curve.predicted.tolist() == pytest.approx([0.05, 0.98])
    assert curve.observed.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("ties", [False, True], ids=["no ties", "ties"])
def test_delong_variance_against_all_pairs(ties: bool) -> None:
    labels, scores = rows(ties=ties)
    positive, negative = placements(labels, scores)
    expected = positive.var(ddof=1) / len(positive) + negative.var(ddof=1) / len(negative)
    assert auc_by_row(labels, scores, 0.95).error ** 2 == pytest.approx(expected, rel=1e-10)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    truth = float(norm.cdf(1 / np.sqrt(2)))  # AUC of N(1, 1) against N(0, 1)
    found = [auc_by_row(*rows(200, seed=seed), 0.95) for seed in range(400)]
    covered = np.mean([interval.low <= truth <= interval.high for interval in found])
    assert 0.92 <= covered <= 0.98
    assert all(0 <= interval.low <= interval.value <= interval.high <= 1 for interval in found)


@pytest.mark.parametrize("ties", [False, True], ids=["no ties", "ties"])
def test_paired_delong_against_all_pairs(ties: bool) -> None:
    labels, first = rows(ties=ties)
    second = first + np.random.default_rng(2).normal(size=len(first))
    (p1, n1), (p2, n2) = placements(labels, first), placements(labels, second)
    variance = np.var(p2 - p1, ddof=1) / len(p1) + np.var(n2 - n1, ddof=1) / len(n1)
    found = difference_by_row(labels, second, first, 0.95)
    assert found.value == pytest.approx(roc_auc_score(labels, second) - roc_auc_score(labels, first))
    assert found.error == pytest.approx(np.sqrt(variance), rel=1e-9)
    assert found.high - found.low == pytest.approx(2 * norm.ppf(0.975) * found.error)


def test_scores_that_rank_alike_are_no_difference() -> None:
    labels, scores = rows()
    found = difference_by_row(labels, scores, 3 * scores + 1, 0.95)
    assert (found.value, found.error) == (0.0, 0.0)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("measure", [auc, lambda labels, scores: auc_by_row(labels, scores, 0.95)])
def test_one_class_is_a_clear_error(measure: Any, label: int) -> None:
    with pytest.raises(ValueError, match=f"AUC: all 3 rows have the label {label}; it needs both classes"):
        measure([label] * 3, [0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: auc([0, 1], [0.1]), "must be one value each"),
        (lambda: auc([], []), "for at least one row"),
        (lambda: auc([0, 1], [0.1, float("nan")]), "1 of 2 are NaN or infinite"),
        (lambda: auc([0, 2], [0.1, 0.2]), "labels: must be 0 or 1, found"),
        (lambda: auc_by_row([0, 1, 1], [0.1, 0.2, 0.3], 0.95), "2 clicked and 1 other rows"),
        (lambda: aucs_of_users([0, 1], [0.1, 0.2], [1]), "users: 1 values for 2 rows"),
        (lambda: log_loss([0, 1], [0.1, 1.2]), r"probabilities: must lie in \[0, 1\]"),
    ],
    ids=["shapes", "empty", "nan", "labels", "two each", "user shapes", "probabilities"],
)
def test_what_has_no_metric_is_a_clear_error(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_an_item_starts_at_the_mean_rate_and_one_never_shown_stays_there() -> None:
    rates = click_rates([7, 7, 3, 2**40], [1, 0, 0, 1], smoothing=2.0)
    found, shown = rates.of(np.array([3, 7, 2**40, 0, 8, 2**41]))
    assert rates.mean == 0.5
    assert found.tolist() == [1 / 3, 0.5, 2 / 3, 0.5, 0.5, 0.5]
    assert shown.tolist() == [1, 2, 1, 0, 0, 0]


def test_click_rates_are_smoothed_towards_the_mean() -> None:
    rates = click_rates(np.array([1, 1, 1, 1, 2, 3, 3, 3]), np.array([1, 1, 1, 1, 0, 0, 0, 0]), smoothing=4.0)
    values, shown = rates.of(np.array([1, 2, 3, 0, 77]))
    assert values == pytest.approx([(4 + 2) / 8, 2 / 5, 2 / 7, 0.5, 0.5])  # unseen items have the mean rate, 0.5
    assert shown == pytest.approx([4, 1, 3, 0, 0])
