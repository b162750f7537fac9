"""Each rule at its own limit, to the last digit: which side of it passes, and the numbers that the verdict names."""

import copy
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from components.gate.config import GatePolicy
from components.gate.verdict import decide
from tests.measured import World, checked_data, measured, unreadable_champion

BASE = measured()
POLICY = GatePolicy(
    minimum_rows=4000, auc_floor=0.75, calibration_ceiling=0.04, baseline_margin=0.02, delta=0.01, slice_epsilon=0.03
)
SUPERIOR = GatePolicy(comparison="superior")


def rule(metrics: Any, policy: GatePolicy, name: str, status: str = "clean") -> dict[str, Any]:
    (found,) = (r for r in decide(metrics, checked_data(status), policy)["rules"] if r["name"] == name)
    return dict(found)


def with_value(value: Any, *path: str) -> Any:
    metrics = copy.deepcopy(BASE)
    place = metrics
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return metrics


def with_gain(value: float, error: float | None, p_better: float | None, *path: str) -> Any:
    """The interval and its ends are two-sided, as evaluate writes them: the gate must not take those."""
    reach = 1.96 * (error or 0)
    gain = {"value": value, "error": error, "low": value - reach, "high": value + reach, "p_better": p_better}
    return with_value(gain, *path)


def with_slices(*differences: dict[str, Any] | None) -> Any:
    metrics = copy.deepcopy(BASE)
    parts = metrics["slices"][: len(differences)]
    metrics["slices"] = [{**part, "difference": d} for part, d in zip(parts, differences, strict=True)]
    return metrics


def lost(value: float, error: float | None) -> dict[str, Any]:
    return {"value": value, "error": error, "low": None, "high": None}


@pytest.mark.parametrize(
    ("name", "path", "limit", "better"),
    [
        ("minimum_rows", ("rows",), 4000, 1),
        ("auc_floor", ("candidate", "auc", "value"), 0.75, 1),
        ("calibration_ceiling", ("candidate", "calibration_error"), 0.04, -1),
    ],
)
def test_an_absolute_limit_itself_passes(name: str, path: tuple[str, ...], limit: float, better: int) -> None:
    worse = limit - better if isinstance(limit, int) else float(np.nextafter(limit, -better))
    for value, passes in ((limit, True), (worse, False)):
        found = rule(with_value(value, *path), POLICY, name)
        assert (found["passed"], found["observed"], found["limit"], found["applies"]) == (passes, value, limit, True)


def test_data_as_bad_as_the_policy_allows_passes() -> None:
    for status, passes in (("clean", True), ("warned", True), ("stopped", False)):
        found = rule(BASE, GatePolicy(data="warned"), "data_verdict", status)
        assert (found["passed"], found["observed"], found["limit"]) == (passes, status, "warned")


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_what_is_held_against_a_limit_is_the_one_sided_bound(alpha: float) -> None:
    """Not the measured value, and not the end of a two-sided interval: 1.645 errors below at a certainty of 95%."""
    policy = GatePolicy(alpha=alpha, baseline_margin=0.02, delta=0.01)
    reach = float(norm.isf(alpha)) * 0.01
    baseline = rule(
        with_gain(0.05, 0.01, 0.0, "baselines", "item_click_rate", "difference"), policy, "beats_click_rate"
    )
    assert baseline["observed"] == pytest.approx(0.05 - reach, abs=1e-12)
    champion = rule(with_gain(0.05, 0.01, 0.0, "comparison", "users"), policy, "non_inferiority")
    assert champion["observed"] == pytest.approx(0.05 - reach, abs=1e-12)
    assert f"{100 * (1 - alpha):g}%" in champion["sentence"]


@pytest.mark.parametrize(
    ("bound", "passes"), [(0.0199, False), (0.0201, True)], ids=["just below the margin", "just above the margin"]
)
def test_the_gain_over_the_click_rate_must_exceed_its_margin_by_its_bound(bound: float, passes: bool) -> None:
    metrics = with_gain(bound + 1.6448536 * 0.01, 0.01, 0.0, "baselines", "item_click_rate", "difference")
    found = rule(metrics, POLICY, "beats_click_rate")
    assert (found["passed"], found["limit"], found["applies"]) == (passes, 0.02, True)


def test_a_bound_equal_to_the_click_rates_margin_fails() -> None:
    metrics = with_gain(0.02, 0.0, 0.0, "baselines", "item_click_rate", "difference")
    assert not rule(metrics, POLICY, "beats_click_rate")["passed"]


@pytest.mark.parametrize(
    ("bound", "passes"), [(-0.0101, False), (-0.0099, True)], ids=["just beyond delta", "just within delta"]
)
def test_non_inferiority_is_shown_by_the_bound(bound: float, passes: bool) -> None:
    found = rule(with_gain(bound + 1.6448536 * 0.01, 0.01, 0.9, "comparison", "users"), POLICY, "non_inferiority")
    assert (found["passed"], found["limit"], found["applies"]) == (passes, -0.01, True)


def test_a_bound_equal_to_delta_is_allowed() -> None:
    found = rule(with_gain(-0.01, 0.0, 1.0, "comparison", "users"), POLICY, "non_inferiority")
    assert found["passed"]
    assert "it is no lower than -0.0100, and -0.0100 is allowed" in found["sentence"]


@pytest.mark.parametrize(
    ("value", "passes"),
    [(0.0165, True), (0.0164, False), (0.0180, True)],
    ids=["1.65 errors above 0", "1.64 errors above 0", "within 1.96 errors of 0"],
)
def test_superiority_is_shown_by_the_one_sided_bound(value: float, passes: bool) -> None:
    """Whatever p_better says: the number that is shown is the one that decides."""
    for p_better in (0.0, 1.0):
        found = rule(with_gain(value, 0.01, p_better, "comparison", "users"), SUPERIOR, "superiority")
        assert (found["passed"], found["limit"], found["applies"]) == (passes, 0.0, True)
        assert found["observed"] == pytest.approx(value - 1.6448536 * 0.01, abs=1e-8)


def test_a_bound_equal_to_zero_is_not_superior() -> None:
    assert not rule(with_gain(0.0, 0.0, 0.0, "comparison", "users"), SUPERIOR, "superiority")["passed"]


@pytest.mark.parametrize(
    ("policy", "name", "path", "limit"),
    [
        (POLICY, "beats_click_rate", ("baselines", "item_click_rate", "difference"), 0.02),
        (POLICY, "non_inferiority", ("comparison", "users"), -0.01),
        (SUPERIOR, "superiority", ("comparison", "users"), 0.0),
    ],
    ids=["beats_click_rate", "non_inferiority", "superiority"],
)
def test_an_unmeasured_spread_fails_and_names_the_limit(
    policy: GatePolicy, name: str, path: tuple[str, ...], limit: float
) -> None:
    found = rule(with_gain(0.3, None, None, *path), policy, name)
    assert (found["passed"], found["observed"], found["limit"], found["applies"]) == (False, None, limit, True)


@pytest.mark.parametrize(
    ("difference", "passes"),
    [
        pytest.param(lost(-0.03, 0.0), True, id="exactly epsilon"),
        pytest.param(lost(-0.0301, 0.0), False, id="a little more than epsilon"),
        pytest.param(lost(-0.0463, 0.01), True, id="1.63 errors below -epsilon may be chance"),
        pytest.param(lost(-0.0466, 0.01), False, id="1.66 errors below -epsilon is surely lost"),
        pytest.param(lost(-0.025, 0.001), True, id="surely worse than zero, by less than epsilon"),
    ],
)
def test_a_slice_fails_when_its_upper_bound_is_below_epsilon(difference: dict[str, Any], passes: bool) -> None:
    """With one slice the certainty is not shared: the bound is 1.645 errors above the value."""
    found = rule(with_slices(difference), POLICY, "no_slice_worse")
    assert (found["passed"], found["limit"], found["applies"]) == (passes, -0.03, True)
    assert found["observed"] == pytest.approx(difference["value"] + 1.6448536 * difference["error"], abs=1e-8)


def test_a_slice_whose_spread_is_not_measured_shows_nothing() -> None:
    found = rule(with_slices(lost(-0.9, None), lost(-0.01, 0.0)), POLICY, "no_slice_worse")
    assert (found["passed"], found["observed"]) == (True, -0.01)


def test_certainty_is_divided_by_the_slices_that_were_measured() -> None:
    """2 errors below -epsilon: surely lost by itself, and among two (1.96), but not among three (2.13)."""
    clear, fine = lost(-0.09, 0.03), lost(0.01, 0.001)
    assert not rule(with_slices(clear, fine, None, None), POLICY, "no_slice_worse")["passed"]
    assert rule(with_slices(clear, fine, fine), POLICY, "no_slice_worse")["passed"]


def test_the_slice_nearest_to_the_limit_is_the_one_that_is_shown() -> None:
    """By its bound, not by its value."""
    found = rule(with_slices(lost(0.02, 0.0), lost(-0.01, 0.0), lost(-0.02, 0.02)), POLICY, "no_slice_worse")
    assert found["observed"] == -0.01
    assert "shared among 3 slices" in found["sentence"]
    assert BASE["slices"][1]["name"] in found["sentence"]


def test_all_slices_that_lost_are_named_the_worst_first() -> None:
    found = rule(with_slices(lost(-0.04, 0.0), lost(0.0, 0.0), lost(-0.05, 0.0)), POLICY, "no_slice_worse")
    first, second = (BASE["slices"][place]["name"] for place in (2, 0))
    assert found["observed"] == -0.05
    assert 0 < found["sentence"].index(first) < found["sentence"].index(second)


def test_without_a_slice_large_enough_the_rule_does_not_apply() -> None:
    found = rule(with_slices(None, None), POLICY, "no_slice_worse")
    assert (found["passed"], found["observed"], found["limit"], found["applies"]) == (True, None, -0.03, False)


@pytest.mark.parametrize("name", ["non_inferiority", "no_slice_worse"])
@pytest.mark.parametrize(
    ("metrics", "why"),
    [
        (measured(World(champion_noise=None)), "there is no champion yet"),
        (unreadable_champion(BASE, "x"), "the champion could not score this data"),
    ],
    ids=["first model", "unreadable"],
)
def test_what_needs_a_champion_does_not_apply_without_one(metrics: Any, why: str, name: str) -> None:
    found = rule(metrics, POLICY, name)
    assert (found["passed"], found["observed"], found["limit"], found["applies"]) == (True, None, None, False)
    assert why in found["sentence"]


def test_the_rule_about_the_champion_says_what_happened() -> None:
    scored = rule(BASE, POLICY, "champion_readable")
    assert (scored["passed"], scored["observed"]) == (True, "scored")
    assert "scored the same 4,000 rows" in scored["sentence"]
    unread = rule(unreadable_champion(BASE, "its file is cut"), POLICY, "champion_readable")
    assert (unread["passed"], unread["observed"], unread["applies"]) == (False, "unreadable", True)
    assert "could not score this data: its file is cut" in unread["sentence"]
