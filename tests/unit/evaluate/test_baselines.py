from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from components.evaluate.baselines import Impressions, history_blind
from components.statistics.auc import auc


def impressions(seed: int, rows: int, per_item: int) -> Impressions:
    """The label depends on the views level alone; the item is noise, and each is shown `per_item` times."""
    random = np.random.default_rng(seed)
    views = random.integers(1, 11, rows)
    labels = (random.random(rows) < 1 / (1 + np.exp(4 - 0.6 * views))).astype(np.int64)
    features = np.column_stack([random.integers(1, 11, rows), views]).astype(np.float64)
    return Impressions(np.arange(rows) // per_item + 1, features, labels)


def test_history_blind_learns_what_levels_say() -> None:
    train, test = impressions(1, 20_000, 5), impressions(2, 5_000, 5)
    scores = history_blind(train, test, smoothing=1.0, rows=20_000, seed=1)
    assert auc(test.labels, scores) == pytest.approx(auc(test.labels, test.features[:, 1]), abs=0.01)


def test_a_row_does_not_see_its_own_label() -> None:
    """With its own label in its feature, a baseline on items shown once would learn the rate and fail on new rows."""
    train = impressions(1, 20_000, 1)
    test = impressions(2, 5_000, 1)
    scores = history_blind(train, test, smoothing=0.01, rows=20_000, seed=1)
    assert auc(test.labels, scores) > auc(test.labels, test.features[:, 1]) - 0.02


def test_the_baseline_is_seeded_and_bounded() -> None:
    train, test = impressions(1, 4_000, 5), impressions(2, 500, 5)
    first, again, other = (history_blind(train, test, 20.0, 1_000, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def naive_rates(items: Any, labels: Any, asked: Any, smoothing: float) -> tuple[Any, Any]:
    """(click rate, rows) of each asked item among these rows, counted one by one."""
    mean, shown, clicked = labels.mean(), Counter(items.tolist()), Counter(items[labels == 1].tolist())
    rows = np.array([shown[item] for item in asked.tolist()], dtype=float)
    clicks = np.array([clicked[item] for item in asked.tolist()])
    return (clicks + smoothing * mean) / (rows + smoothing), rows


def test_the_baseline_is_these_trees_on_these_features() -> None:
    """More rows than scikit-learn takes before it stops early by itself, items that test alone has, and a sample."""
    train, test = impressions(3, 12_000, 3), impressions(4, 400, 2)
    test = replace(test, items=test.items * 40)
    random = np.random.default_rng(5)
    folds = random.integers(5, size=12_000)
    rates, shown = np.empty(12_000), np.empty(12_000)
    for fold in range(5):
        here = folds == fold
        rates[here], shown[here] = naive_rates(train.items[~here], train.labels[~here], train.items[here], 7.0)
    features = np.column_stack([train.features, rates, np.log1p(shown * 5 / 4)])
    chosen = random.permutation(12_000)[:11_000]
    trees = HistGradientBoostingClassifier(
        max_iter=60, learning_rate=0.15, max_leaf_nodes=15, min_samples_leaf=50, early_stopping=False, random_state=5
    ).fit(features[chosen], train.labels[chosen])
    rates, shown = naive_rates(train.items, train.labels, test.items, 7.0)
    expected = trees.predict_proba(np.column_stack([test.features, rates, np.log1p(shown)]))[:, 1]
    np.testing.assert_allclose(history_blind(train, test, 7.0, 11_000, 5), expected, rtol=0, atol=1e-12)


def test_train_without_clicks_has_no_baseline() -> None:
    train = impressions(1, 100, 5)
    silent = Impressions(train.items, train.features, np.zeros(100, dtype=np.int64))
    with pytest.raises(ValueError, match="needs clicks and non-clicks in train"):
        history_blind(silent, train, 20.0, 1_000, 1)
