"""The AUC of the best possible score and of simple baselines, for each split."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from components.dataset.sample.clicks import Rows
from components.dataset.sample.world import Floats, Ints, World


class Truth:
    """Collects scores of rows as they are written; 32 bits each, for the challenge has 3.6 million."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._parts: dict[str, list[tuple[np.ndarray[Any, Any], ...]]] = {}

    def add(self, split: str, rows: Rows) -> None:
        columns = (rows.item, rows.label, rows.probability, rows.taste, rows.likeness)
        kinds = (np.int32, np.int8, np.float32, np.float32, np.float32)
        parts = tuple(c.astype(k) for c, k in zip(columns, kinds, strict=True))
        self._parts.setdefault(split, []).append(parts)

    def summary(self) -> dict[str, Any]:
        item, label = self._column("train", 0), self._column("train", 1)
        clicks = np.bincount(item, label, self._world.items + 1).astype(np.float64)
        return {split: self._of_split(split, clicks) for split in self._parts}

    def _of_split(self, split: str, train_clicks: Floats) -> dict[str, Any]:
        item, label, probability, taste, likeness = (self._column(split, k) for k in range(5))
        popularity = np.log1p(train_clicks)[item]
        return {
            "rows": len(label),
            "positive_share": round(float(label.mean()), 6),
            "unseen_item_share": round(float((train_clicks[item] == 0).mean()), 6),
            "auc": {
                "oracle": auc_of(label, probability),
                "oracle_blind_to_pools": auc_of(label, taste),
                "content_and_popularity": auc_of(label, _standardised(likeness) + _standardised(popularity)),
                "content": auc_of(label, likeness),
                "popularity": auc_of(label, popularity),
            },
        }

    def _column(self, split: str, column: int) -> Ints:
        parts: Sequence[Any] = [part[column] for part in self._parts[split]]
        return np.concatenate(parts)


def _standardised(values: Any) -> Any:
    return (values - values.mean()) / (values.std() + 1e-12)


def auc_of(label: Any, score: Any) -> float:
    """The chance that a click scores above a row without one, ties counting half."""
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    positives = int(label.sum())
    negatives = len(label) - positives
    area = rank[label == 1].sum() - positives * (positives + 1) / 2
    return round(float(area / (positives * negatives)), 6)
