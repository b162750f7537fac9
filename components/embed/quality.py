"""Are the vectors good? The nearest items by each modality, and how often they share a tag."""

from dataclasses import dataclass
from typing import Any

import numpy as np

CANDIDATES = 20_000  # neighbours are looked for among this many items at most
QUERIES = 500
NEAREST = 5


@dataclass(frozen=True)
class View:
    """One way to see the items: rows of unit length around the common mean, and which of them are real."""

    name: str
    unit: np.ndarray
    usable: np.ndarray

    def nearest(self, queries: np.ndarray, count: int = NEAREST) -> tuple[np.ndarray, np.ndarray]:
        """Positions and cosines of the nearest usable others of each query, best first; ties go to the lower id."""
        cosine_SN = self.unit[queries] @ self.unit.T
        cosine_SN[:, ~self.usable] = -np.inf
        cosine_SN[np.arange(len(queries)), queries] = -np.inf
        count = min(count, len(self.unit) - 1)
        # The best few first, then those in order: sorting thousands of cosines for five would be most of a warm run.
        best = (
            np.sort(np.argpartition(-cosine_SN, count - 1, axis=1)[:, :count], axis=1)
            if count
            else queries[:, None][:, :0]
        )
        cosines = np.take_along_axis(cosine_SN, best, axis=1)
        order = np.argsort(-cosines, axis=1, kind="stable")
        return np.take_along_axis(best, order, axis=1), np.take_along_axis(cosines, order, axis=1)


def view(name: str, vectors_NC: np.ndarray, usable_N: np.ndarray) -> View:
    centred = np.asarray(vectors_NC, dtype=np.float32)
    if usable_N.any():
        centred = centred - centred[usable_N].mean(0)
    return View(name, centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12), usable_N)


def spread(rows: np.ndarray, count: int) -> np.ndarray:
    """Up to `count` of the rows, evenly spaced: the same ones every time."""
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]


def tag_agreement(views: list[View], tags_NT: np.ndarray) -> dict[str, Any]:
    """Share of the nearest neighbours that have a tag in common with their item, and the same for random pairs."""
    tagged = np.flatnonzero(tags_NT.any(1) & np.logical_and.reduce([view.usable for view in views]))
    queries = spread(tagged, QUERIES)
    if len(queries) < 2:
        return {}
    report: dict[str, Any] = {}
    for one in views:
        near, _ = one.nearest(queries)
        report[one.name] = float(np.mean(_share_a_tag(tags_NT[queries][:, None, :], tags_NT[near])))
    # A permutation without the identity stands for chance: each item against the one a third of the way on.
    others = np.roll(queries, max(1, len(queries) // 3))
    report["random"] = float(np.mean(_share_a_tag(tags_NT[queries], tags_NT[others])))
    report["queries"] = len(queries)
    return report


def _share_a_tag(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    shared: np.ndarray = ((a[..., :, None] == b[..., None, :]) & (a[..., :, None] != 0)).any((-1, -2))
    return shared
