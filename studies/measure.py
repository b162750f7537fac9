"""What is measured of a trained ranker: figures over all rows, and over slices of them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from components.statistics.auc import auc, aucs_of_users
from components.statistics.calibration import log_loss

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

HISTORY_EDGES = (0, 1, 5, 10, 20, 50)  # first length of each bin
RARE = 10  # an item with fewer train rows is rare, one with none is unseen
SMALLEST_SLICE = 50  # rows; of a smaller slice only the size is given


def measured(scores: Floats, rows: Any, train_items: npt.NDArray[Any]) -> dict[str, Any]:
    """AUC, log loss, AUC within users, and the AUC of slices."""
    labels, items = rows.label.astype(np.int64), rows.item.astype(np.int64)
    shown = np.bincount(train_items, minlength=int(items.max()) + 1)[items]
    return {
        "auc": auc(labels, scores),
        "log_loss": log_loss(labels, scores),
        "grouped_auc": aucs_of_users(labels, scores, rows.user).mean,
        "slices": {
            "history": sliced(labels, scores, history_bins(rows.lengths)),
            "items": sliced(labels, scores, item_bins(shown)),
        },
    }


def history_bins(lengths: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.bool_]]:
    """Rows by how many real items their history holds, whatever part of it the ranker reads."""
    bins = {}
    for low, high in zip(HISTORY_EDGES, [*HISTORY_EDGES[1:], None], strict=True):
        if high is None:
            bins[f"{low}+"] = lengths >= low
        else:
            bins[str(low) if high == low + 1 else f"{low}-{high - 1}"] = (lengths >= low) & (lengths < high)
    return bins


def item_bins(shown: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.bool_]]:
    """Rows by how many train rows show their item."""
    rare = (shown > 0) & (shown < RARE)
    return {"unseen": shown == 0, f"rare (1-{RARE - 1})": rare, "known": shown >= RARE}


def sliced(labels: Ints, scores: Floats, masks: dict[str, npt.NDArray[np.bool_]]) -> list[dict[str, Any]]:
    slices = []
    for name, mask in masks.items():
        rows, clicks = int(mask.sum()), int(labels[mask].sum())
        if not rows:
            continue
        enough = rows >= SMALLEST_SLICE and 0 < clicks < rows
        slices.append({"name": name, "rows": rows, "auc": auc(labels[mask], scores[mask]) if enough else None})
    return slices
