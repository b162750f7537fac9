import json
from typing import Any

import numpy as np
import pytest

from components.evaluate.measure import operating_point, roc_points
from components.statistics.auc import auc
from components.statistics.calibration import log_loss
from tests.measured import World, measured


@pytest.fixture(scope="module")
def metrics() -> Any:
    return measured()


def test_everything_is_json_without_infinities(metrics: Any) -> None:
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_intervals_hold_their_values(metrics: Any) -> None:
    cards = [metrics["candidate"], metrics["champion"]["scores"]]
    estimates = [card[name] for card in cards for name in ("auc", "grouped_auc")]
    estimates += [metrics["comparison"][name] for name in ("rows", "users", "grouped", "known_items")]
    estimates += [part["difference"] for part in metrics["slices"] if part["measured"]]
    assert len(estimates) > 15
    for estimate in estimates:
        assert estimate["low"] < estimate["value"] < estimate["high"]


def test_comparison_is_candidate_minus_champion(metrics: Any) -> None:
    gain = metrics["candidate"]["auc"]["value"] - metrics["champion"]["scores"]["auc"]["value"]
    assert gain > 0.01  # the candidate was drawn with less noise
    for unit in ("rows", "users"):
        assert metrics["comparison"][unit]["value"] == pytest.approx(gain)
        assert metrics["comparison"][unit]["p_better"] < 0.01
    losses = metrics["candidate"]["log_loss"] - metrics["champion"]["scores"]["log_loss"]
    assert metrics["comparison"]["log_loss"] == pytest.approx(losses)


def test_without_a_champion_there_is_no_comparison() -> None:
    metrics = measured(World(champion_noise=None))
    assert metrics["comparison"] is None
    assert metrics["champion"]["scores"] is None
    assert "champion" not in metrics["roc"]
    assert all(part["champion"] is None for part in metrics["slices"])


def test_users_with_one_row_have_no_auc_of_their_own() -> None:
    metrics = measured(World(rows_a_user=1))
    assert metrics["candidate"]["grouped_auc"] is None
    assert metrics["comparison"]["grouped"] is None
    # Then every row is its own user, and both ways of counting chance agree.
    by_rows, by_users = metrics["comparison"]["rows"], metrics["comparison"]["users"]
    assert by_users["error"] == pytest.approx(by_rows["error"], rel=0.15)


def test_the_same_rows_give_the_same_numbers(metrics: Any) -> None:
    assert measured() == metrics


@pytest.mark.parametrize(
    ("scores", "clicks"),
    [
        ([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2], 2.0),
        ([0.9, 0.5, 0.5, 0.5, 0.2, 0.2, 0.2, 0.2], 1 + 2 / 3),  # one place for three tied rows, two of them clicked
        ([0.5] * 8, 3 / 4),
    ],
    ids=["distinct", "tied at the threshold", "all tied"],
)
def test_operating_point_shares_out_ties(scores: Any, clicks: Any) -> None:
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    point = operating_point(labels, np.array(scores), 0.25, 0.95)
    assert point["rows"] == 2
    assert point["precision"] == pytest.approx(clicks / 2)
    assert point["recall"] == pytest.approx(clicks / 3)
    assert point["lift"] == pytest.approx((clicks / 2) / (3 / 8))
    assert point["low"] <= point["precision"] <= point["high"]


def test_operating_point_does_not_depend_on_the_order_of_rows() -> None:
    random = np.random.default_rng(1)
    labels, scores = random.integers(0, 2, 500), random.integers(0, 9, 500) / 10
    shuffle = random.permutation(500)
    assert operating_point(labels, scores, 0.1, 0.95) == operating_point(labels[shuffle], scores[shuffle], 0.1, 0.95)


@pytest.mark.parametrize("digits", [8, 1], ids=["distinct scores", "ties"])
def test_roc_is_thinned_without_changing_its_area(digits: int) -> None:
    random = np.random.default_rng(2)
    labels = random.integers(0, 2, 5000)
    scores = np.round(labels + random.normal(size=5000), digits)
    points = np.array(roc_points(labels, scores))
    assert len(points) <= 100
    assert points[0].tolist() == [0, 0]
    assert points[-1].tolist() == [1, 1]
    assert (np.diff(points, axis=0) >= 0).all()
    assert np.trapezoid(points[:, 1], points[:, 0]) == pytest.approx(auc(labels, scores), abs=0.002)


def test_gain_over_guessing(metrics: Any) -> None:
    card = metrics["candidate"]
    rate = card["click_rate"]
    labels = np.repeat([1, 0], [round(rate * 4000), 4000 - round(rate * 4000)])
    assert card["log_loss_gain"] == pytest.approx(1 - card["log_loss"] / log_loss(labels, np.full(4000, rate)))
