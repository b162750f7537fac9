"""Each rule by itself: it passes and fails at its limit, and a verdict that fails names it."""

import copy
from typing import Any

import pytest

from components.gate.config import GatePolicy
from components.gate.rules import RULES
from components.gate.verdict import decide
from tests.measured import World, checked_data, measured, unreadable_champion

FIRST = measured(World(champion_noise=None))
BETTER = measured()
WORSE = measured(World(candidate_noise=1.4, champion_noise=0.4))
EQUAL = measured(World(candidate_noise=0.7, champion_noise=0.7, seed=2))
SUPERIOR = GatePolicy(comparison="superior")


def changed(metrics: Any, path: str, value: Any) -> Any:
    """A copy with one number replaced."""
    metrics = copy.deepcopy(metrics)
    *parents, leaf = path.split(".")
    place = metrics
    for key in parents:
        place = place[key]
    place[leaf] = value
    return metrics


def failing(metrics: Any, policy: GatePolicy | None = None, status: str = "clean") -> Any:
    verdict = decide(metrics, checked_data(status), policy or GatePolicy())
    assert verdict["passed"] == all(rule["passed"] for rule in verdict["rules"])
    return [rule["name"] for rule in verdict["rules"] if not rule["passed"]]


def lost_slice(loss: float, error: float) -> Any:
    metrics = copy.deepcopy(BETTER)
    part = next(p for p in metrics["slices"] if p["measured"])
    part["difference"] = {"value": -loss, "error": error, "low": -loss - 2 * error, "high": -loss + 2 * error}
    return metrics


@pytest.mark.parametrize(
    ("rule", "metrics", "policy", "status"),
    [
        ("data_verdict", BETTER, GatePolicy(data="clean"), "warned"),
        ("data_verdict", BETTER, GatePolicy(), "stopped"),
        ("minimum_rows", changed(BETTER, "rows", 999), GatePolicy(), "clean"),
        ("auc_floor", BETTER, GatePolicy(auc_floor=0.95), "clean"),
        ("calibration_ceiling", changed(BETTER, "candidate.calibration_error", 0.051), GatePolicy(), "clean"),
        ("beats_click_rate", BETTER, GatePolicy(baseline_margin=0.5), "clean"),
        ("champion_readable", unreadable_champion(BETTER, "its file is truncated"), GatePolicy(), "clean"),
        ("non_inferiority", WORSE, GatePolicy(slice_epsilon=1.0), "clean"),
        ("superiority", EQUAL, SUPERIOR, "clean"),
        ("no_slice_worse", lost_slice(0.05, 0.005), GatePolicy(), "clean"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ",
)
def test_a_rule_that_fails_alone_is_named(rule: str, metrics: Any, policy: GatePolicy, status: str) -> None:
    assert failing(metrics, policy, status) == [rule]
    verdict = decide(metrics, checked_data(status), policy)
    failed = next(r for r in verdict["rules"] if r["name"] == rule)
    assert f"“{failed['title']}”" in verdict["summary"]
    assert verdict["summary"].startswith(f"1 of {sum(r['applies'] for r in verdict['rules'])} rules failed")
    assert len(failed["sentence"]) > 20
    assert failed["limit"] is not None


@pytest.mark.parametrize(
    ("metrics", "policy", "status"),
    [
        (BETTER, GatePolicy(), "clean"),
        (BETTER, SUPERIOR, "clean"),
        (BETTER, GatePolicy(data="warned"), "warned"),
        (changed(BETTER, "rows", 1000), GatePolicy(), "quarantined"),
        (EQUAL, GatePolicy(delta=0.05), "clean"),
        (EQUAL, GatePolicy(delta=0.05, unit="rows"), "clean"),
        (lost_slice(0.019, 0.001), GatePolicy(), "clean"),  # surely worse, but by less than epsilon
        (lost_slice(0.05, 0.05), GatePolicy(), "clean"),  # more than epsilon, but it may be chance
        (lost_slice(0.0253, 0.003), GatePolicy(), "clean"),  # surely worse, but not surely by more than epsilon
        (FIRST, GatePolicy(), "clean"),
        (unreadable_champion(BETTER, "x"), GatePolicy(unreadable_champion="absolute-only"), "clean"),
    ],
    ids=[
        "better",
        "superior",
        "warned",
        "just enough rows",
        "as good",
        "as good, by rows",
        "slice a little worse",
        "slice worse by chance",
        "slice worse by an open amount",
        "first model",
        "unreadable champion let pass",
    ],
)
def test_a_good_candidate_passes(metrics: Any, policy: GatePolicy, status: str) -> None:
    assert failing(metrics, policy, status) == []


def test_every_rule_is_reported_with_its_numbers() -> None:
    verdict = decide(BETTER, checked_data(), GatePolicy())
    assert len(verdict["rules"]) == len(RULES)
    assert all(rule["applies"] for rule in verdict["rules"])
    for rule in verdict["rules"]:
        assert rule["observed"] is not None
        assert rule["limit"] is not None
    assert verdict["policy"]["delta"] == 0.005
    assert not verdict["first_model"]
    assert verdict["champion_version"] == "3"


def test_all_that_fails_is_told_not_just_the_first() -> None:
    policy = GatePolicy(auc_floor=0.99, minimum_rows=10**6, calibration_ceiling=0.0)
    assert failing(WORSE, policy) == [
        "minimum_rows",
        "auc_floor",
        "calibration_ceiling",
        "non_inferiority",
        "no_slice_worse",
    ]


def test_the_first_model_meets_absolute_rules_only_and_the_verdict_says_so() -> None:
    verdict = decide(FIRST, checked_data(), GatePolicy())
    assert verdict["first_model"]
    assert "There is no champion yet, so only absolute rules were asked" in verdict["summary"]
    silent = {rule["name"] for rule in verdict["rules"] if not rule["applies"]}
    assert silent == {"champion_readable", "non_inferiority", "no_slice_worse"}
    assert failing(FIRST, GatePolicy(auc_floor=0.95)) == ["auc_floor"]


def test_the_verdict_says_when_the_policy_ignored_an_unreadable_champion() -> None:
    policy = GatePolicy(unreadable_champion="absolute-only")
    verdict = decide(unreadable_champion(BETTER, "no"), checked_data(), policy)
    assert "the champion could not score this data" in verdict["summary"]
    assert not verdict["first_model"]


def test_a_spread_that_could_not_be_measured_shows_nothing() -> None:
    nothing = {"value": 0.3, "error": None, "low": None, "high": None, "p_better": None}
    assert failing(changed(BETTER, "comparison.users", nothing)) == ["non_inferiority"]
    assert failing(changed(BETTER, "baselines.item_click_rate.difference", nothing)) == ["beats_click_rate"]


def test_intervals_are_by_user_unless_the_policy_asks_for_rows() -> None:
    """The same gain with a wider spread by users than by rows."""
    wide = {"value": 0.0, "error": 0.02, "low": -0.04, "high": 0.04, "p_better": 0.5}
    narrow = {**wide, "error": 0.001, "low": -0.002, "high": 0.002}
    metrics = changed(changed(BETTER, "comparison.users", wide), "comparison.rows", narrow)
    assert failing(metrics) == ["non_inferiority"]
    assert failing(metrics, GatePolicy(unit="rows")) == []


def test_certainty_is_shared_among_slices() -> None:
    """A loss that one slice alone would be stopped for may be chance among many."""
    part = lost_slice(0.05, 0.015)  # 2 standard errors below -epsilon
    assert failing(part) == []
    part["slices"] = [p for p in part["slices"] if p["difference"] and p["difference"]["value"] == -0.05]
    assert failing(part) == ["no_slice_worse"]


NUMBERS = ("minimum_rows", "auc_floor", "non_inferiority", "superiority", "no_slice_worse", "beats_click_rate")


@pytest.mark.parametrize("superior", [False, True])
@pytest.mark.parametrize(
    "metrics", [BETTER, WORSE, EQUAL, lost_slice(0.0253, 0.003), lost_slice(0.0253, 0.0005), lost_slice(0.05, 0.05)]
)
def test_the_number_that_is_shown_is_the_one_that_decides(metrics: Any, superior: bool) -> None:
    policy = SUPERIOR if superior else GatePolicy()
    for rule in decide(metrics, checked_data(), policy)["rules"]:
        if rule["name"] in NUMBERS:
            strict = rule["name"] in ("superiority", "beats_click_rate")
            holds = rule["observed"] > rule["limit"] if strict else rule["observed"] >= rule["limit"]
            assert rule["passed"] == holds, rule


def difference(value: float, error: float) -> Any:
    gain = {"value": value, "error": error, "low": value - 2 * error, "high": value + 2 * error, "p_better": 0.5}
    return changed(BETTER, "comparison.users", gain)


@pytest.mark.parametrize(
    ("metrics", "standing", "words"),
    [
        pytest.param(difference(0.003, 0.0005), "better", "the model is surely better", id="better"),
        pytest.param(difference(-0.003, 0.0005), "worse", "surely a little worse, but within the allowed", id="worse"),
        pytest.param(difference(-0.001, 0.001), "open", "neither model is shown to be better", id="open"),
    ],
)
def test_the_summary_says_whether_the_difference_is_sure(metrics: Any, standing: str, words: str) -> None:
    verdict = decide(metrics, checked_data(), GatePolicy())
    assert verdict["passed"]
    assert verdict["tested"]["standing"] == standing
    assert words in verdict["summary"]


def test_the_bounds_that_were_tested_stand_in_the_verdict() -> None:
    verdict = decide(lost_slice(0.0253, 0.003), checked_data(), GatePolicy())
    tested, by_name = verdict["tested"], {rule["name"]: rule for rule in verdict["rules"]}
    assert by_name["non_inferiority"]["observed"] == tested["comparison"]["users"]["low"]
    assert by_name["no_slice_worse"]["observed"] == min(part["high"] for part in tested["slices"] if part)
    measured_slices = sum(part is not None for part in tested["slices"])
    assert tested["slice_certainty"] == pytest.approx(1 - 0.05 / measured_slices)
