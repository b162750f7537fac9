"""Each formula of the intervals, at its limits and on numbers small enough to be checked by hand."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score

from components.statistics.auc import auc_influence, aucs_of_users, checked
from components.statistics.bootstrap import Bootstrap, WeightedAuc, bootstrap_users
from components.statistics.calibration import log_loss, reliability_curve
from components.statistics.click_rate import click_rates
from components.statistics.intervals import (
    auc_by_row,
    auc_by_user,
    difference_by_user,
    error_by_row,
    error_by_user,
    normal_estimate,
    one_sided_bounds,
    p_better,
    percentile_estimate,
    wilson,
)


def test_the_error_by_user_adds_up_each_users_rows_and_corrects_for_few_users() -> None:
    """Three users pull by 3, -4 and 1: (9 + 16 + 1) times 3/2."""
    influence = np.array([1.0, 2.0, -4.0, 0.5, 0.5])
    assert error_by_user(influence, np.array([8, 8, 5, 9, 9])) == pytest.approx(np.sqrt(26 * 3 / 2))
    assert error_by_user(influence, np.array([8, 8, 8, 9, 9])) == pytest.approx(np.sqrt((1 + 1) * 2 / 1)), "two users"
    assert error_by_user(influence, np.zeros(5)) == np.inf, "one user says nothing of the next"


def test_the_error_by_row_corrects_each_class_by_its_own_size() -> None:
    """Three clicks, two others: squares of clicks times 3/2, of the others times 2/1."""
    influence, labels = np.array([1.0, -2.0, 1.0, 3.0, -3.0]), np.array([1, 1, 1, 0, 0])
    assert error_by_row(influence, labels) == pytest.approx(np.sqrt(6 * 3 / 2 + 18 * 2 / 1))
    for too_few in ([1, 0, 0, 0, 0], [1, 1, 1, 1, 0]):
        with pytest.raises(ValueError, match="it needs two of each"):
            error_by_row(influence, np.array(too_few))


def test_users_of_a_single_row_count_as_users() -> None:
    """Obuchowski's variance, from all pairs, over users of one to three rows."""
    random = np.random.default_rng(4)
    users = np.repeat(np.arange(30), 1 + np.arange(30) % 3)
    labels, scores = random.integers(0, 2, len(users)), random.normal(size=len(users))
    other = random.normal(size=len(users))

    def pull(values: Any) -> Any:
        above = values[labels == 1][:, None] - values[labels == 0][None, :]
        wins = (above > 0) + 0.5 * (above == 0)
        rows = np.empty(len(users))
        rows[labels == 1] = (wins.mean(1) - wins.mean()) / len(wins)
        rows[labels == 0] = (wins.mean(0) - wins.mean()) / wins.shape[1]
        return np.array([rows[users == user].sum() for user in range(30)])

    for found, expected in (
        (auc_by_user(labels, scores, users, 0.9), pull(scores)),
        (difference_by_user(labels, scores, other, users, 0.9), pull(scores) - pull(other)),
    ):
        error = np.sqrt((expected**2).sum() * 30 / 29)
        assert found.error == pytest.approx(error, rel=1e-9)
        assert (found.low, found.high) == pytest.approx(
            (found.value - 1.6448536 * error, found.value + 1.6448536 * error)
        )


@pytest.mark.parametrize(("confidence", "z"), [(0.95, 1.959964), (0.9, 1.644854), (0.5, 0.674490)])
def test_an_interval_leaves_half_of_its_doubt_on_each_side(confidence: float, z: float) -> None:
    found = normal_estimate(0.3, 0.02, confidence)
    assert (found.value, found.error) == (0.3, 0.02)
    assert (found.low, found.high) == pytest.approx((0.3 - 0.02 * z, 0.3 + 0.02 * z), abs=1e-7)
    assert found.as_json() == {"value": 0.3, "error": 0.02, "low": found.low, "high": found.high}


@pytest.mark.parametrize(("alpha", "z"), [(0.05, 1.644854), (0.025, 1.959964), (0.5, 0.0)])
def test_a_one_sided_bound_leaves_all_of_its_doubt_on_one_side(alpha: float, z: float) -> None:
    assert one_sided_bounds(0.3, 0.02, alpha) == pytest.approx((0.3 - 0.02 * z, 0.3 + 0.02 * z), abs=1e-7)


def test_p_better_is_one_sided() -> None:
    assert p_better(1.6448536, 1.0) == pytest.approx(0.05)
    assert p_better(0.0, 0.1) == 0.5
    assert p_better(-0.2, 0.1) == pytest.approx(norm.cdf(2.0))
    assert [p_better(value, 0.0) for value in (-0.1, 0.0, 1e-9)] == [1.0, 1.0, 0.0]


def test_the_interval_of_an_auc_by_row_is_cut_to_what_an_auc_can_be() -> None:
    labels = np.array([1, 1, 1, 0, 0, 0])
    scores = np.array([6.0, 5.0, 2.0, 3.0, 1.0, 0.0])
    found = auc_by_row(labels, scores, 0.99)
    assert found.value == pytest.approx(8 / 9)
    assert found.high == 1.0
    assert found.low == pytest.approx(8 / 9 - 2.5758293 * found.error)
    assert auc_by_row(labels, -scores, 0.99).low == 0.0


@pytest.mark.parametrize(("usable", "bounded"), [(50, True), (49, False)])
def test_fewer_than_fifty_redraws_give_no_interval(usable: int, bounded: bool) -> None:
    samples = np.r_[np.arange(usable) / 100, np.full(200, np.nan)]
    found = percentile_estimate(0.2, samples, 0.9)
    assert found.value == 0.2
    if bounded:
        assert found.error == pytest.approx(np.sqrt((50**2 - 1) / 12 * 50 / 49) / 100), "n - 1 redraws are free"
        assert (found.low, found.high) == pytest.approx((0.05 * 0.49, 0.95 * 0.49))
    else:
        assert (found.error, found.low, found.high) == (np.inf, -np.inf, np.inf)


@pytest.mark.parametrize(("clicks", "rows"), [(0, 9), (9, 9), (3, 10), (250, 1000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson_is_scipys(clicks: int, rows: int, confidence: float) -> None:
    expected = binomtest(clicks, rows).proportion_ci(confidence, method="wilson")
    assert wilson(clicks, rows, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_log_loss_cuts_certainty_at_its_own_limit() -> None:
    assert log_loss([1], [0.0]) == pytest.approx(-np.log(1e-7))
    assert log_loss([0], [1.0]) == pytest.approx(-np.log(1e-7), rel=1e-6)
    assert log_loss([1, 0], [0.0, 0.25], eps=0.5) == pytest.approx(np.log(2)), "both are moved to one half"


def test_a_probability_on_a_bins_edge_belongs_to_the_upper_bin() -> None:
    curve = reliability_curve([1, 0, 0, 1], [0.25, 0.5, 0.75, 1.0], bins=4)
    assert (curve.count.tolist(), curve.predicted.tolist()) == ([1, 1, 2], [0.25, 0.5, 0.875])
    assert len(reliability_curve(np.zeros(40), (np.arange(40) + 0.5) / 40).count) == 20, "twenty bins if not told"
    with pytest.raises(ValueError, match=r"found -0\.1 to 0\.5"):
        reliability_curve([0, 1], [-0.1, 0.5])


def test_an_item_that_was_never_shown_has_the_mean_rate_also_beyond_the_last_one() -> None:
    rates = click_rates([2, 2, 5], [1, 0, 0], smoothing=3.0)
    found, shown = rates.of(np.array([1, 2, 4, 5, 6]))
    assert found == pytest.approx([1 / 3, (1 + 1) / 5, 1 / 3, (0 + 1) / 4, 1 / 3])
    assert shown.tolist() == [0, 2, 0, 1, 0]


def test_rows_that_a_redraw_left_out_have_no_weight_in_the_auc() -> None:
    labels, scores = np.array([1, 0, 1, 0]), np.array([0.4, 0.4, 0.9, 0.1])
    weighted = WeightedAuc(labels, scores, np.array([0, 1, 2, 3]))
    assert weighted(np.array([1.0, 2.0, 0.0, 3.0])) == pytest.approx((2 * 0.5 + 3) / 5), "the tie counts half"
    assert np.isnan(weighted(np.array([1.0, 0.0, 1.0, 0.0]))), "no row without a click"


def test_a_redraw_without_a_user_of_both_kinds_has_no_grouped_auc() -> None:
    labels, users = np.array([1, 0, 0, 0]), np.array([0, 0, 1, 1])
    found = bootstrap_users(labels, [np.array([0.9, 0.1, 0.5, 0.4])], users, 200, 1)
    assert found.users == 2
    without = np.isnan(found.grouped[:, 0])
    assert 0.15 < without.mean() < 0.35, "one in four redraws leaves user 0 out"
    assert (found.grouped[~without, 0] == 1.0).all()
    np.testing.assert_array_equal(np.isnan(found.aucs[:, 0]), without)


def test_each_estimate_of_a_bootstrap_is_of_its_own_models() -> None:
    """Two models whose AUC and grouped AUC are drawn apart."""
    random = np.random.default_rng(9)
    aucs, grouped = random.normal(size=(200, 2)), random.normal(size=(200, 2)) * 3
    bootstrap = Bootstrap(aucs, grouped, users=10)
    assert bootstrap.difference(0.1, 0, 1, 0.9) == percentile_estimate(0.1, aucs[:, 0] - aucs[:, 1], 0.9)
    assert bootstrap.grouped_difference(0.1, 1, 0, 0.8) == percentile_estimate(0.1, grouped[:, 1] - grouped[:, 0], 0.8)
    assert bootstrap.grouped_estimate(0.1, 1, 0.9) == percentile_estimate(0.1, grouped[:, 1], 0.9)


def test_a_users_own_auc_needs_both_kinds_of_row() -> None:
    found = aucs_of_users([1, 0, 1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4, 0.5, 0.5], [4, 4, 7, 7, 9, 9])
    assert (found.index.tolist(), found.aucs.tolist(), found.weights.tolist()) == ([0], [0.0], [2.0])
    assert aucs_of_users([1, 1], [0.1, 0.2], [1, 2]).mean is None


def test_a_row_influences_the_auc_in_the_right_direction() -> None:
    """Three clicks and two others; the value of each row is the share of pairs that it wins, less the mean."""
    labels, scores = np.array([1, 0, 1, 0, 1]), np.array([0.9, 0.6, 0.7, 0.5, 0.55])
    area, influence = auc_influence(labels, scores)
    assert area == pytest.approx(roc_auc_score(labels, scores))
    won = np.array([1.0, 2 / 3, 1.0, 1.0, 0.5])
    assert influence == pytest.approx((won - 5 / 6) / np.where(labels == 1, 3, 2))


@pytest.mark.parametrize(
    ("labels", "scores", "said"),
    [
        ([[0, 1]], [[0.1, 0.2]], "must be one value each"),
        ([0, 1], [0.1, float("inf")], "1 of 2 are NaN or infinite"),
        ([0, 1, 0.5], [0.1, 0.2, 0.3], "must be 0 or 1, found"),
    ],
    ids=["two dimensions", "infinite", "a half"],
)
def test_what_cannot_be_measured_is_refused(labels: Any, scores: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked(labels, scores)
