"""Where a model is better or worse than its average: named groups of rows, each measured with its interval.

A group of slices splits the rows in one way (by length of history, by popularity ...). Slices too small to say
anything are kept by name and size, without a number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluate.config import EvaluateConfig
from components.statistics.auc import Floats, Ints
from components.statistics.intervals import auc_by_user, difference_by_user

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Slice:
    group: str
    name: str
    mask: Mask


def history_slices(lengths: Ints, edges: Sequence[int]) -> list[Slice]:
    """`edges` are the first lengths of the buckets; lengths below the first edge are a bucket too."""
    bounds = [0, *edges]
    slices = [
        Slice("Length of history", _lengths(low, high - 1), (lengths >= low) & (lengths < high))
        for low, high in pairwise(bounds)
    ]
    return [*slices, Slice("Length of history", f"{bounds[-1]} or more clicks", lengths >= bounds[-1])]


def popularity_slices(views_levels: Ints) -> list[Slice]:
    """By the item's views level, a decile of popularity. Two levels form a slice, so that each has enough rows."""
    slices = [Slice("Popularity of the item", "unknown", views_levels == 0)]
    names = {1: "least viewed (levels 1–2)", 9: "most viewed (levels 9–10)"}
    for low in (1, 3, 5, 7, 9):
        mask = (views_levels >= low) & (views_levels <= low + 1)
        slices.append(Slice("Popularity of the item", names.get(low, f"levels {low}–{low + 1}"), mask))
    return slices


def novelty_slices(group: str, ids: Ints, seen: Ints, old: str, new: str) -> list[Slice]:
    known = np.isin(ids, seen)
    return [Slice(group, old, known), Slice(group, new, ~known)]


def tag_slices(items: Ints, tags_NT: Ints, names: dict[int, str], top: int) -> list[Slice]:
    """The tags that most rows carry. A row may carry several, so these slices overlap."""
    tags_BT = tags_NT[np.where(items < len(tags_NT), items, 0)]
    if not tags_BT.size or not tags_BT.max():
        return []
    rows = np.zeros(int(tags_BT.max()) + 1, dtype=np.int64)
    for column in tags_BT.T:
        rows += np.bincount(column, minlength=len(rows))
    rows[0] = 0
    chosen = [int(tag) for tag in np.argsort(-rows, kind="stable")[:top] if rows[tag]]
    return [Slice("Tag of the item", names.get(t, f"tag {t}"), (tags_BT == t).any(axis=1)) for t in chosen]


def content_slices(items: Ints, imputed: Ints) -> list[Slice]:
    """Content is imputed where an item came without a usable text or image."""
    made_up = np.isin(items, imputed)
    return [Slice("Content of the item", "its own", ~made_up), Slice("Content of the item", "imputed", made_up)]


def measure_slice(
    part: Slice, labels: Ints, users: Ints, candidate: Floats, champion: Floats | None, config: EvaluateConfig
) -> dict[str, Any]:
    label, user = labels[part.mask], users[part.mask]
    rows, clicks = len(label), int(label.sum())
    report: dict[str, Any] = {
        "group": part.group,
        "name": part.name,
        "rows": rows,
        "clicks": clicks,
        "candidate": None,
        "champion": None,
        "difference": None,
    }
    report["measured"] = rows >= config.slice_rows and min(clicks, rows - clicks) >= config.slice_class_rows
    if report["measured"]:
        own = candidate[part.mask]
        report["candidate"] = auc_by_user(label, own, user, config.confidence).as_json()
        if champion is not None:
            other = champion[part.mask]
            report["champion"] = auc_by_user(label, other, user, config.confidence).as_json()
            report["difference"] = difference_by_user(label, own, other, user, config.confidence).as_json()
    return report


def _lengths(first: int, last: int) -> str:
    if last == 0:
        return "no click yet"
    return f"{first}–{last} clicks" if first != last else f"{first} click{'s' if first > 1 else ''}"
