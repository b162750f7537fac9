"""How a candidate is measured when nobody says otherwise, and which values may be set."""

from dataclasses import replace

import pytest

from components.evaluate.config import EvaluateConfig
from tests.ranges import Row, assert_other_defaults, assert_ranges

NUMBERS: dict[str, Row] = {
    "batch_size": (4096, 2, None),
    "confidence": (0.95, 0.5, 0.9999),
    "bootstrap_samples": (400, 100, None),
    "seed": (1, 0, None),
    "calibration_bins": (15, 2, None),
    "operating_share": (0.1, 1e-4, 1.0),
    "slice_rows": (200, 2, None),
    "slice_class_rows": (20, 2, None),
    "top_tags": (8, 0, None),
    "ctr_smoothing": (20.0, 1e-6, None),
    "baseline_rows": (200_000, 100, None),
}


def test_each_number_has_its_default_and_its_range() -> None:
    assert_ranges(EvaluateConfig(), NUMBERS, "evaluate")
    assert_other_defaults(EvaluateConfig(), NUMBERS, {"history_edges": (1, 5, 10, 20, 50)})


@pytest.mark.parametrize("edges", [(), (1,), (1, 2, 3), (7, 100)])
def test_edges_that_rise_are_taken(edges: tuple[int, ...]) -> None:
    assert replace(EvaluateConfig(), history_edges=edges).history_edges == edges


@pytest.mark.parametrize("edges", [(0,), (0, 1), (2, 1), (1, 1), (-1, 5)])
def test_edges_that_fall_repeat_or_begin_before_one_are_refused(edges: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"evaluate\.history_edges = .*: must rise, from 1 on"):
        replace(EvaluateConfig(), history_edges=edges)
