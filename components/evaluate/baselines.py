"""What a model must beat to be worth its cost: two scores that never look at a user.

A high AUC says little by itself: if negatives are drawn from a pool of their own, an item's past click rate alone ranks
well. Both baselines learn from train only.
"""

from dataclasses import dataclass

import numpy as np

from components.statistics.auc import Floats, Ints
from components.statistics.click_rate import click_rates

FOLDS = 5


@dataclass(frozen=True)
class Impressions:
    """What the baselines may know of rows: the item, the row's features, and in train whether it was clicked."""

    items: Ints
    features: Floats  # codes and numbers, a column each; NaN where a number is missing
    labels: Ints


def history_blind(train: Impressions, test: Impressions, smoothing: float, rows: int, seed: int) -> Floats:
    """Gradient boosted trees on the row's features, the item's click rate and its number of rows, without any history.

    A row's own label must not sit in its own feature, so in training the rate of a row comes from the other folds.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import

    if len(np.unique(train.labels)) < 2:
        raise ValueError("the history-blind baseline needs clicks and non-clicks in train")
    random = np.random.default_rng(seed)
    folds = random.integers(FOLDS, size=len(train.items))
    rates, shown = np.empty(len(folds)), np.empty(len(folds))
    for fold in range(FOLDS):
        here = folds == fold
        others = click_rates(train.items[~here], train.labels[~here], smoothing)
        rates[here], shown[here] = others.of(train.items[here])
    chosen = random.permutation(len(folds))[:rows]
    features = np.column_stack([train.features, rates, np.log1p(shown * FOLDS / (FOLDS - 1))])
    model = HistGradientBoostingClassifier(
        max_iter=60, learning_rate=0.15, max_leaf_nodes=15, min_samples_leaf=50, early_stopping=False, random_state=seed
    )
    model.fit(features[chosen], train.labels[chosen])
    rates, shown = click_rates(train.items, train.labels, smoothing).of(test.items)
    probabilities = model.predict_proba(np.column_stack([test.features, rates, np.log1p(shown)]))
    return np.asarray(probabilities[:, 1], dtype=np.float64)
