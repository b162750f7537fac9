"""All that is tested stands in the verdict: each bound computed here by hand from the value and its error."""

import copy
from typing import Any

import pytest
from scipy.stats import norm

from components.gate import bounds
from components.gate.bounds import bounds_of, slice_alpha, standing
from components.gate.config import GatePolicy
from tests.measured import World, measured, unreadable_champion

POLICY = GatePolicy(alpha=0.1)


def gain(value: float, error: float | None) -> dict[str, Any]:
    return {"value": value, "error": error, "low": -9.0, "high": 9.0, "p_better": 0.5}


def reach(value: float, error: float, alpha: float) -> dict[str, Any]:
    z = norm.ppf(1 - alpha)
    return {"low": pytest.approx(value - z * error), "high": pytest.approx(value + z * error)}


def scored(slices: list[dict[str, Any] | None], **comparison: Any) -> Any:
    metrics = copy.deepcopy(measured())
    metrics["comparison"] |= {"users": gain(0.01, 0.004), "rows": gain(0.01, 0.002), "grouped": None}
    metrics["comparison"] |= {"known_items": None} | comparison
    metrics["slices"] = [{"difference": difference} for difference in slices]
    return metrics


def test_every_bound_of_a_comparison_stands_in_the_verdict() -> None:
    metrics = scored([gain(-0.02, 0.01), None, gain(0.03, None)], grouped=gain(-0.1, 0.01))
    assert bounds.tested_bounds(metrics, POLICY) == {
        "certainty": pytest.approx(0.9),
        "slice_certainty": pytest.approx(0.95),  # two slices were measured
        "slices": [reach(-0.02, 0.01, 0.05), None, {"low": None, "high": None}],
        "comparison": {
            "users": reach(0.01, 0.004, 0.1),
            "rows": reach(0.01, 0.002, 0.1),
            "grouped": reach(-0.1, 0.01, 0.1),
        },
        "standing": "better",
    }


def test_the_bounds_on_known_items_are_in_the_verdict_too() -> None:
    comparison = bounds.tested_bounds(scored([], known_items=gain(0.5, 0.1)), POLICY)["comparison"]
    assert comparison["known_items"] == reach(0.5, 0.1, 0.1)
    assert set(comparison) == {"users", "rows", "known_items"}


@pytest.mark.parametrize("metrics", [measured(World(champion_noise=None)), unreadable_champion(measured(), "lost")])
def test_without_a_comparison_the_verdict_has_no_bounds(metrics: Any) -> None:
    tested = bounds.tested_bounds(metrics, POLICY)
    assert (tested["comparison"], tested["standing"]) == (None, None)
    assert tested["certainty"] == pytest.approx(0.9)


def test_the_conclusion_uses_the_unit_that_the_policy_names() -> None:
    metrics = scored([], users=gain(0.01, 0.1), rows=gain(-0.01, 0.001))
    assert bounds.tested_bounds(metrics, GatePolicy(unit="users"))["standing"] == "open"
    assert bounds.tested_bounds(metrics, GatePolicy(unit="rows"))["standing"] == "worse"


@pytest.mark.parametrize(("slices", "share"), [(0, 1), (1, 1), (2, 2), (30, 30)])
def test_alpha_is_divided_by_the_measured_slices(slices: int, share: int) -> None:
    assert slice_alpha(scored([*[gain(0, 1)] * slices, None]), POLICY) == pytest.approx(0.1 / share)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1e-9, 1.0, "better"),
        (0.0, 1.0, "open"),
        (-1.0, -1e-9, "worse"),
        (-1.0, 0.0, "open"),
        (None, None, "open"),
        (None, -1.0, "worse"),
        (1.0, None, "better"),
    ],
)
def test_only_a_bound_on_the_other_side_of_zero_is_sure(low: float | None, high: float | None, expected: str) -> None:
    assert standing({"low": low, "high": high}) == expected


def test_an_error_of_zero_gives_the_value_itself_and_no_error_gives_no_bound() -> None:
    assert bounds_of(gain(0.2, 0.0), 0.05) == {"low": 0.2, "high": 0.2}
    assert bounds_of(gain(0.2, None), 0.05) == {"low": None, "high": None}
