"""Statistics over random rows, many of them tied."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from components.statistics.auc import auc, aucs_of_users
from components.statistics.calibration import expected_calibration_error, reliability_curve
from components.statistics.intervals import auc_by_row, difference_by_row

quick = settings(max_examples=100)
row = st.tuples(st.integers(0, 1), st.integers(-3, 3), st.integers(0, 3))


@st.composite
def both_classes(draw: st.DrawFn, each: int = 1) -> tuple[Any, Any, Any]:
    rows = draw(st.lists(row, min_size=2 * each, max_size=60))
    labels, scores, groups = (np.array(column) for column in zip(*rows, strict=True))
    assume(each <= labels.sum() <= len(labels) - each)
    return labels, scores.astype(float), groups


@quick
@given(both_classes())
def test_auc_is_scikit_learns_and_turns_with_the_score(rows: tuple[Any, Any, Any]) -> None:
    labels, scores, _ = rows
    area = auc(labels, scores)
    assert area == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert auc(labels, -scores) == pytest.approx(1 - area, abs=1e-12)
    assert auc(labels, np.exp(scores)) == area
    assert aucs_of_users(labels, scores, np.zeros(len(labels))).mean == pytest.approx(area, abs=1e-12)


@quick
@given(both_classes(each=2))
def test_delong_is_the_count_over_all_pairs(rows: tuple[Any, Any, Any]) -> None:
    labels, scores, other = rows
    above = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    wins = (above > 0) + 0.5 * (above == 0)
    expected = wins.mean(1).var(ddof=1) / len(wins) + wins.mean(0).var(ddof=1) / wins.shape[1]
    assert auc_by_row(labels, scores, 0.95).error ** 2 == pytest.approx(expected, abs=1e-12)
    there, back = (difference_by_row(labels, *pair, 0.95) for pair in ((scores, other), (other, scores)))
    assert there.value == -back.value
    assert there.error == pytest.approx(back.error, abs=1e-12)


@quick
@given(both_classes())
def test_grouped_auc_is_a_weighted_mean_over_mixed_groups(rows: tuple[Any, Any, Any]) -> None:
    labels, scores, groups = rows
    inside = [groups == g for g in np.unique(groups) if 0 < labels[groups == g].mean() < 1]
    assume(inside)
    areas = [roc_auc_score(labels[i], scores[i]) for i in inside]
    expected = np.average(areas, weights=[i.sum() for i in inside])
    assert aucs_of_users(labels, scores, groups).mean == pytest.approx(expected, abs=1e-12)


@quick
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=50), st.integers(1, 20))
def test_calibration_lies_between_the_overall_gap_and_one(rows: list[tuple[int, float]], bins: int) -> None:
    labels, probabilities = (np.array(column) for column in zip(*rows, strict=True))
    error = expected_calibration_error(labels, probabilities, bins)
    assert abs(labels.mean() - probabilities.mean()) - 1e-9 <= error <= 1
    assert reliability_curve(labels, probabilities, bins).count.sum() == len(labels)
