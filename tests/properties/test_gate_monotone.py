"""A candidate that is better in some number never fails where the worse one passed."""

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from components.gate.config import GatePolicy
from components.gate.verdict import decide
from tests.measured import checked_data, measured

BASE = measured()
TINY = st.floats(0, 0.3)
STATUSES = ("clean", "warned", "quarantined", "stopped")

policies = st.builds(
    GatePolicy,
    minimum_rows=st.integers(0, 8000),
    auc_floor=st.floats(0.5, 1),
    calibration_ceiling=st.floats(0, 0.2),
    data=st.sampled_from(STATUSES[:3]),
    baseline_margin=st.floats(-0.1, 0.2),
    comparison=st.sampled_from(["non-inferior", "superior"]),
    delta=st.floats(0, 0.1),
    alpha=st.floats(1e-4, 0.5),
    unit=st.sampled_from(["users", "rows"]),
    slice_epsilon=st.floats(0, 0.1),
)


@st.composite
def candidates(draw: Any) -> Any:
    """Numbers of a candidate anywhere around the limits, and how much better another one is in each."""
    metrics = copy.deepcopy(BASE)
    metrics["rows"] = draw(st.integers(0, 8000))
    metrics["candidate"]["auc"]["value"] = draw(st.floats(0.4, 1))
    metrics["candidate"]["calibration_error"] = draw(TINY)
    for gain in _gains(metrics):
        gain["value"], gain["error"] = draw(st.floats(-0.2, 0.2)), draw(st.floats(1e-5, 0.1))
    better = copy.deepcopy(metrics)
    better["rows"] += draw(st.integers(0, 8000))
    better["candidate"]["auc"]["value"] += draw(TINY)
    better["candidate"]["calibration_error"] *= draw(st.floats(0, 1))
    for gain in _gains(better):
        gain["value"] += draw(TINY)
    for metric in (metrics, better):
        for unit in ("users", "rows"):
            gain = metric["comparison"][unit]
            gain["p_better"] = _upper_tail(gain["value"] / gain["error"])
    return metrics, better


def _gains(metrics: Any) -> Any:
    yield metrics["baselines"]["item_click_rate"]["difference"]
    yield from (metrics["comparison"][unit] for unit in ("users", "rows"))
    yield from [part["difference"] for part in metrics["slices"] if part["measured"]][:3]


def _upper_tail(z: float) -> float:
    return float(norm.sf(z))


@settings(max_examples=200)
@given(candidates(), policies, st.integers(0, 3), st.integers(0, 3))
def test_better_never_fails_where_worse_passed(pair: Any, policy: GatePolicy, status: int, improvement: int) -> None:
    metrics, better = pair
    worse_verdict = decide(metrics, checked_data(STATUSES[status]), policy)
    better_verdict = decide(better, checked_data(STATUSES[max(0, status - improvement)]), policy)
    for worse_rule, better_rule in zip(worse_verdict["rules"], better_verdict["rules"], strict=True):
        assert better_rule["passed"] or not worse_rule["passed"], better_rule
    assert better_verdict["passed"] or not worse_verdict["passed"]


@settings(max_examples=100)
@given(candidates(), policies, st.floats(0, 1), st.floats(0, 1))
def test_a_stricter_policy_never_passes_more(pair: Any, policy: GatePolicy, share: float, more: float) -> None:
    metrics, _ = pair
    fields = dict(policy.__dict__)
    fields |= {
        "minimum_rows": fields["minimum_rows"] + 100,
        "delta": fields["delta"] * share,
        "calibration_ceiling": fields["calibration_ceiling"] * share,
        "slice_epsilon": fields["slice_epsilon"] * share,
        "auc_floor": fields["auc_floor"] + (1 - fields["auc_floor"]) * more,
        "baseline_margin": fields["baseline_margin"] + more / 10,
    }
    strict = decide(metrics, checked_data(), GatePolicy(**fields))
    mild = decide(metrics, checked_data(), policy)
    assert mild["passed"] or not strict["passed"]
