"""Metrics over random rows, many of them tied."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from model import metrics

quick = settings(max_examples=100, deadline=None)
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
    area = metrics.auc(labels, scores)
    assert area == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert metrics.auc(labels, -scores) == pytest.approx(1 - area, abs=1e-12)
    assert metrics.auc(labels, np.exp(scores)) == area
    assert metrics.grouped_auc(labels, scores, np.zeros(len(labels))) == pytest.approx(area, abs=1e-12)


@quick
@given(both_classes(each=2))
def test_delong_is_the_count_over_all_pairs(rows: tuple[Any, Any, Any]) -> None:
    labels, scores, other = rows
    above = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    wins = (above > 0) + 0.5 * (above == 0)
    expected = wins.mean(1).var(ddof=1) / len(wins) + wins.mean(0).var(ddof=1) / wins.shape[1]
    assert metrics.delong_variance(labels, scores) == pytest.approx(expected, abs=1e-12)
    there, back = metrics.paired_delong(labels, scores, other), metrics.paired_delong(labels, other, scores)
    assert there.difference == pytest.approx(-back.difference)
    assert there.p_value == pytest.approx(back.p_value, abs=1e-9)


@quick
@given(both_classes())
def test_grouped_auc_is_a_weighted_mean_over_mixed_groups(rows: tuple[Any, Any, Any]) -> None:
    labels, scores, groups = rows
    inside = [groups == g for g in np.unique(groups) if 0 < labels[groups == g].mean() < 1]
    assume(inside)
    areas = [roc_auc_score(labels[i], scores[i]) for i in inside]
    expected = np.average(areas, weights=[i.sum() for i in inside])
    assert metrics.grouped_auc(labels, scores, groups) == pytest.approx(expected, abs=1e-12)


@quick
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=50), st.integers(1, 20))
def test_calibration_lies_between_the_overall_gap_and_one(rows: list[tuple[int, float]], bins: int) -> None:
    labels, probabilities = (np.array(column) for column in zip(*rows, strict=True))
    error = metrics.expected_calibration_error(labels, probabilities, bins)
    assert abs(labels.mean() - probabilities.mean()) - 1e-9 <= error <= 1
    assert metrics.reliability_curve(labels, probabilities, bins).count.sum() == len(labels)
