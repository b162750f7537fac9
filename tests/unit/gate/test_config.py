"""The policy's numbers: what a candidate must reach when nobody says otherwise, and which values may be set."""

from components.gate.config import GatePolicy
from tests.ranges import Row, assert_other_defaults, assert_ranges

NUMBERS: dict[str, Row] = {
    "minimum_rows": (1000, 0, None),
    "auc_floor": (0.6, 0.0, 1.0),
    "calibration_ceiling": (0.05, 0.0, 1.0),
    "baseline_margin": (0.0, -1.0, 1.0),
    "delta": (0.005, 0.0, 0.5),
    "alpha": (0.05, 1e-6, 0.5),
    "slice_epsilon": (0.02, 0.0, 1.0),
}


def test_each_number_has_its_default_and_its_range() -> None:
    assert_ranges(GatePolicy(), NUMBERS, "gate")


def test_the_other_defaults_are_the_strict_ones() -> None:
    strict = {"data": "quarantined", "comparison": "non-inferior", "unit": "users", "unreadable_champion": "fail"}
    assert_other_defaults(GatePolicy(), NUMBERS, strict)
