import numpy as np
import pytest

from components.evaluate.baselines import Impressions, history_blind
from components.statistics.auc import auc


def impressions(seed: int, rows: int, per_item: int) -> Impressions:
    """The label depends on the views level alone; the item is noise, and each is shown `per_item` times."""
    random = np.random.default_rng(seed)
    views = random.integers(1, 11, rows)
    labels = (random.random(rows) < 1 / (1 + np.exp(4 - 0.6 * views))).astype(np.int64)
    return Impressions(np.arange(rows) // per_item + 1, random.integers(1, 11, rows), views, labels)


def test_history_blind_learns_what_levels_say() -> None:
    train, test = impressions(1, 20_000, 5), impressions(2, 5_000, 5)
    scores = history_blind(train, test, smoothing=1.0, rows=20_000, seed=1)
    assert auc(test.labels, scores) == pytest.approx(auc(test.labels, test.views), abs=0.01)


def test_a_row_does_not_see_its_own_label() -> None:
    """With its own label in its feature, a baseline on items shown once would learn the rate and fail on new rows."""
    train = impressions(1, 20_000, 1)
    test = impressions(2, 5_000, 1)
    scores = history_blind(train, test, smoothing=0.01, rows=20_000, seed=1)
    assert auc(test.labels, scores) > auc(test.labels, test.views) - 0.02


def test_the_baseline_is_seeded_and_bounded() -> None:
    train, test = impressions(1, 4_000, 5), impressions(2, 500, 5)
    first, again, other = (history_blind(train, test, 20.0, 1_000, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_train_without_clicks_has_no_baseline() -> None:
    train = impressions(1, 100, 5)
    silent = Impressions(train.items, train.likes, train.views, np.zeros(100, dtype=np.int64))
    with pytest.raises(ValueError, match="needs clicks and non-clicks in train"):
        history_blind(silent, train, 20.0, 1_000, 1)
