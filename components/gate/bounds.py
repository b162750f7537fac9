"""The one-sided bounds of a difference between two AUCs: what the rules test, and what the report shows and draws.

A bound at certainty 1 - alpha is on the wrong side of the true difference in a share alpha of all samples of users. A
rule that asks "surely no lower than" tests the lower bound, one that asks "surely lost" tests the upper bound.
"""

from typing import Any

from components.gate.config import GatePolicy
from components.statistics.intervals import one_sided_bounds

Json = dict[str, Any]
UNBOUNDED: Json = {"low": None, "high": None}  # if the spread could not be measured


def bounds_of(difference: Json, alpha: float) -> Json:
    """The bounds of a difference that metrics.json holds with its standard error."""
    if difference["error"] is None:
        return UNBOUNDED
    low, high = one_sided_bounds(difference["value"], difference["error"], alpha)
    return {"low": low, "high": high}


def slice_alpha(metrics: Json, policy: GatePolicy) -> float:
    """Alpha is divided by the number of slices (Bonferroni): otherwise one of thirty slices would fail on
    most nights.
    """
    measured = [part for part in metrics["slices"] if part["difference"] is not None]
    return policy.alpha / max(1, len(measured))


def tested_bounds(metrics: Json, policy: GatePolicy) -> Json:
    """All bounds at the policy's certainty, for verdict.json. `standing` says what the policy's unit shows."""
    alpha = slice_alpha(metrics, policy)
    slices = [
        None if part["difference"] is None else bounds_of(part["difference"], alpha) for part in metrics["slices"]
    ]
    tested: Json = {"certainty": 1 - policy.alpha, "slice_certainty": 1 - alpha, "slices": slices}
    tested |= {"comparison": None, "standing": None}
    if metrics["champion"]["status"] == "scored":
        kinds = ("users", "rows", "grouped", "known_items")
        found = {kind: metrics["comparison"][kind] for kind in kinds if metrics["comparison"][kind] is not None}
        tested["comparison"] = {kind: bounds_of(difference, policy.alpha) for kind, difference in found.items()}
        tested["standing"] = standing(tested["comparison"][policy.unit])
    return tested


def standing(bounds: Json) -> str:
    """Whether the candidate is surely better or surely worse than the champion, or neither is shown."""
    if bounds["low"] is not None and bounds["low"] > 0:
        return "better"
    return "worse" if bounds["high"] is not None and bounds["high"] < 0 else "open"
