"""Metrics against scikit-learn or against a count over all pairs."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from model import metrics

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
    assert metrics.auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_auc_of_equal_scores_is_one_half() -> None:
    assert metrics.auc([0, 1, 1], [2.0, 2.0, 2.0]) == 0.5


def test_auc_takes_booleans_floats_and_lists() -> None:
    assert (
        metrics.auc([True, False], [1, 0])
        == metrics.auc(np.array([1.0, 0.0]), np.array([1, 0], dtype=np.float32))
        == 1.0
    )


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
    assert metrics.grouped_auc(labels, scores, groups) == pytest.approx(np.average(areas, weights=weights), abs=1e-12)


def test_grouped_auc_takes_names_as_groups() -> None:
    assert metrics.grouped_auc([1, 0, 1], [2, 1, 0], ["a", "a", "b"]) == 1.0


def test_log_loss_is_scikit_learns_and_finite_at_certainty() -> None:
    labels, scores = rows()
    probabilities = 1 / (1 + np.exp(-scores))
    assert metrics.log_loss(labels, probabilities) == pytest.approx(sklearn_log_loss(labels, probabilities))
    assert np.isfinite(metrics.log_loss([1, 0], [0.0, 1.0]))


def test_calibration_against_a_loop_over_bins() -> None:
    labels, scores = rows()
    probabilities = 1 / (1 + np.exp(-scores))
    gap = 0.0
    for low in np.arange(10) / 10:
        inside = (probabilities >= low) & (probabilities < low + 0.1)
        if inside.any():
            gap += inside.mean() * abs(labels[inside].mean() - probabilities[inside].mean())
    assert metrics.expected_calibration_error(labels, probabilities, bins=10) == pytest.approx(gap)


def test_the_reliability_curve_leaves_empty_bins_out_and_keeps_certainty_in() -> None:
    curve = metrics.reliability_curve([0, 1, 1], [0.05, 1.0, 0.96], bins=10)
    assert curve.count.tolist() == [1, 2]
    assert curve.predicted.tolist() == pytest.approx([0.05, 0.98])
    assert curve.observed.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("ties", [False, True], ids=["no ties", "ties"])
def test_delong_variance_against_all_pairs(ties: bool) -> None:
    labels, scores = rows(ties=ties)
    positive, negative = placements(labels, scores)
    expected = positive.var(ddof=1) / len(positive) + negative.var(ddof=1) / len(negative)
    assert metrics.delong_variance(labels, scores) == pytest.approx(expected, rel=1e-10)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    truth = float(norm.cdf(1 / np.sqrt(2)))  # AUC of N(1, 1) against N(0, 1)
    found = [metrics.auc_interval(*rows(200, seed=seed)) for seed in range(400)]
    covered = np.mean([interval.low <= truth <= interval.high for interval in found])
    assert 0.92 <= covered <= 0.98
    assert all(0 <= interval.low <= interval.auc <= interval.high <= 1 for interval in found)


@pytest.mark.parametrize("ties", [False, True], ids=["no ties", "ties"])
def test_paired_delong_against_all_pairs(ties: bool) -> None:
    labels, first = rows(ties=ties)
    second = first + np.random.default_rng(2).normal(size=len(first))
    (p1, n1), (p2, n2) = placements(labels, first), placements(labels, second)
    variance = np.var(p2 - p1, ddof=1) / len(p1) + np.var(n2 - n1, ddof=1) / len(n1)
    found = metrics.paired_delong(labels, first, second)
    assert found.difference == pytest.approx(roc_auc_score(labels, second) - roc_auc_score(labels, first))
    assert found.standard_error == pytest.approx(np.sqrt(variance), rel=1e-9)
    assert found.p_value == pytest.approx(2 * norm.sf(abs(found.z)))


def test_scores_that_rank_alike_are_no_difference() -> None:
    labels, scores = rows()
    found = metrics.paired_delong(labels, scores, 3 * scores + 1)
    assert (found.difference, found.z, found.p_value) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("name", ["auc", "delong_variance", "auc_interval"])
def test_one_class_is_a_clear_error(name: str, label: int) -> None:
    with pytest.raises(ValueError, match=f"AUC: all 3 rows have the label {label}; it needs both classes"):
        getattr(metrics, name)([label] * 3, [0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.auc([0, 1], [0.1]), "must be one value each"),
        (lambda: metrics.auc([], []), "for at least one row"),
        (lambda: metrics.auc([0, 1], [0.1, float("nan")]), "1 of 2 are NaN or infinite"),
        (lambda: metrics.auc([0, 2], [0.1, 0.2]), "labels: must be 0 or 1, found"),
        (lambda: metrics.delong_variance([0, 1, 1], [0.1, 0.2, 0.3]), "2 positive and 1 negative rows"),
        (lambda: metrics.grouped_auc([0, 1], [0.1, 0.2], [1, 2]), "no group holds both classes"),
        (lambda: metrics.grouped_auc([0, 1], [0.1, 0.2], [1]), "groups: 1 values for 2 rows"),
        (lambda: metrics.log_loss([0, 1], [0.1, 1.2]), r"probabilities: must lie in \[0, 1\]"),
    ],
    ids=["shapes", "empty", "nan", "labels", "two each", "groups", "group shapes", "probabilities"],
)
def test_what_has_no_metric_is_a_clear_error(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
