"""AUC of several days, calibration, ageing, the gate's judgement and the advice, against numbers made by hand."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from studies.replay.advice import advise
from studies.replay.ageing import Served, ageing, judged
from studies.replay.figures import DayRows, by_item_age, calibration, day_auc, pooled

STRETCH = 86_400


def day(seed: int, rows: int = 400) -> DayRows:
    rng = np.random.default_rng(seed)
    ages = rng.choice([-1, 3, 30], rows) * STRETCH  # first shown that day, young, old
    labels = (rng.random(rows) < 0.4).astype(np.int64)
    return DayRows(labels, rng.integers(0, 90, rows), 10**9 - ages, 10**9, STRETCH)


def scores_of(rows: DayRows, strength: float, seed: int = 5) -> Any:
    noise = np.random.default_rng(seed).normal(size=len(rows.labels))
    return 1 / (1 + np.exp(-(strength * rows.labels + noise)))


def test_the_auc_of_days_is_their_mean_by_rows_and_each_day_ranks_by_itself() -> None:
    days = [day(1, 200), day(2, 600)]
    scores = [scores_of(days[0], 1.0), scores_of(days[1], 0.3)]
    areas = [roc_auc_score(rows.labels, given) for rows, given in zip(days, scores, strict=True)]
    found = pooled(days, scores)
    assert found is not None
    assert found.value == pytest.approx((200 * areas[0] + 600 * areas[1]) / 800)
    shifted = pooled(days, [scores[0] * 0.01, scores[1]])
    assert shifted is not None
    assert shifted.value == pytest.approx(found.value), "the scale of one day's scores does not matter to another"


def test_the_error_of_days_is_that_of_independent_users() -> None:
    """If no user comes back, the variances of the days add up, each with the square of its weight."""
    days = [day(1), day(2)]
    apart = [
        DayRows(rows.labels, rows.users + 1000 * n, rows.first_seen, 10**9, STRETCH) for n, rows in enumerate(days)
    ]
    scores = [scores_of(rows, 0.5) for rows in apart]
    found = pooled(apart, scores)
    errors = [estimate.error for rows, given in zip(apart, scores, strict=True) if (estimate := day_auc(rows, given))]
    assert found is not None
    assert found.estimate().error == pytest.approx(float(np.hypot(errors[0], errors[1])) / 2, rel=0.02)


def test_a_day_with_one_label_has_no_auc_and_counts_in_the_calibration() -> None:
    rows = day(1)
    all_alike = DayRows(np.zeros_like(rows.labels), rows.users, rows.first_seen, rows.cutoff, STRETCH)
    given = scores_of(rows, 1.0)
    assert day_auc(all_alike, given) is None
    both, one = pooled([rows, all_alike], [given, given]), pooled([rows], [given])
    assert both is not None
    assert one is not None
    assert both.value == one.value
    assert calibration([all_alike], [given], 15)["click_rate"] == 0.0


def test_items_are_told_apart_by_when_they_were_first_shown() -> None:
    rows = day(1)
    parts = {part["name"]: part for part in by_item_age([rows], [scores_of(rows, 1.0)])}
    assert list(parts) == ["first shown that day", "known for up to 7 nights", "known for longer"]
    new = rows.first_seen > rows.cutoff
    assert parts["first shown that day"]["rows"] == int(new.sum())
    expected = roc_auc_score(rows.labels[new], scores_of(rows, 1.0)[new])
    assert parts["first shown that day"]["auc"]["value"] == pytest.approx(expected)


def test_perfect_rates_have_the_calibration_error_of_chance() -> None:
    rng = np.random.default_rng(3)
    given = rng.random(5000)
    labels = (rng.random(5000) < given).astype(np.int64)
    rows = DayRows(labels, np.arange(5000), np.zeros(5000, dtype=np.int64), 10, STRETCH)
    found = calibration([rows], [given], 15)
    assert found["calibration_error"] == pytest.approx(found["by_chance"], rel=0.6)
    assert calibration([rows], [given**2], 15)["calibration_error"] > 5 * found["by_chance"]


def test_a_model_that_gets_worse_each_day_is_seen_to_age() -> None:
    days = [day(seed, 2000) for seed in range(8)]
    fresh = [scores_of(rows, 1.0) for rows in days]
    old = [scores_of(rows, 1.0 - 0.1 * number) for number, rows in enumerate(days)]
    served = [
        [Served("old", 0, True, old[number]), Served(f"of {number}", number, True, fresh[number])]
        for number in range(8)
    ]
    found = ageing(days, served, every=2)
    assert [line["age"] for line in found["by_age"]] == [2, 4, 6, 8, 10, 12, 14]
    slope = found["loss_a_day"]
    assert 0 < slope["low"] < slope["value"] < slope["high"]
    last = roc_auc_score(days[7].labels, fresh[7]) - roc_auc_score(days[7].labels, old[7])
    assert slope["value"] == pytest.approx(last / 14, rel=0.35)


def test_two_days_are_too_few_to_speak_of_ageing() -> None:
    days = [day(seed) for seed in range(3)]
    served = [
        [Served("old", 0, True, scores_of(rows, 0.5)), Served(f"of {number}", number, True, scores_of(rows, 1.0))]
        for number, rows in enumerate(days)
    ]
    found = ageing(days, served, every=1)
    assert len(found["points"]) == 2
    assert found["loss_a_day"] is None


@pytest.mark.parametrize(("refused", "verdict"), [(0.0, "right"), (2.0, "wrong"), (1.0, "open")])
def test_the_next_day_judges_what_the_gate_refused(refused: float, verdict: str) -> None:
    rows = day(1, 2000)
    assert judged(rows, scores_of(rows, refused, seed=6), scores_of(rows, 1.0))[1] == verdict


def policy(name: str, auc: float, cost: float, low: float, high: float) -> dict[str, Any]:
    return {
        "name": name,
        "auc": {"value": auc, "low": auc - 0.01, "high": auc + 0.01},
        "cpu_minutes": cost,
        "difference": {"value": (low + high) / 2, "low": low, "high": high},
    }


BEST = policy("cold nightly", 0.84, 1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("others", "use", "frontier"),
    [
        # Nearly as good, and surely so, for a seventh of the cost.
        ([policy("cold weekly", 0.8395, 0.15, -0.0015, 0.0005)], "cold weekly", ["cold weekly", "cold nightly"]),
        # Perhaps as good: not shown.
        ([policy("cold weekly", 0.8395, 0.15, -0.0060, 0.0050)], "cold nightly", ["cold weekly", "cold nightly"]),
        # Dearer and worse.
        ([policy("drift 0.1", 0.83, 1.2, -0.012, -0.008)], "cold nightly", ["cold nightly"]),
        # The cheapest of two that are as good.
        (
            [policy("never", 0.839, 0.01, -0.0019, 0.0), policy("cold weekly", 0.8395, 0.15, -0.0015, 0.0005)],
            "never",
            ["never", "cold weekly", "cold nightly"],
        ),
    ],
)
def test_the_advice_is_the_cheapest_policy_that_is_shown_to_be_as_good(
    others: list[dict[str, Any]], use: str, frontier: list[str]
) -> None:
    found = advise([BEST, *others])
    assert (found["best"], found["use"], found["frontier"]) == ("cold nightly", use, frontier)
    assert found["sentence"].startswith(f"Use “{use}”")


def test_without_anything_served_there_is_no_advice() -> None:
    found = advise([{"name": "never", "auc": None, "cpu_minutes": 0.1, "difference": None}])
    assert found["use"] is None
    assert found["sentence"].startswith("No day has an AUC yet")
