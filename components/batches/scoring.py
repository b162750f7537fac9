"""Scores rows with a ranker, in row order."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from components.batches.grouping import group_costs
from components.batches.loader import Batch, Collator
from components.batches.rows import RowStore
from model.ranker import Ranker

Scores = npt.NDArray[np.float64]


def score_batch(ranker: Ranker, batch: Batch) -> torch.Tensor:
    """Logits of a batch, each distinct item encoded once and each group at its own width."""
    encoded = ranker.encode(batch.distinct_U)
    return ranker.score_groups(encoded, batch.histories, batch.item_B, batch.likes_B, batch.views_B, batch.stairs)


def score(
    ranker: Ranker,
    rows: RowStore,
    batch_size: int = 4096,
    device: str | torch.device = "cpu",
    which: npt.NDArray[Any] | None = None,
    known: npt.NDArray[np.bool_] | None = None,
) -> Scores:
    """Click probabilities of all rows, or of the row numbers in `which`, in that order.

    `known` says by id which items the ranker knows; without it, all that its table has a row for.

    In float64: in float32 every logit above 16.6 becomes the probability 1, and rows that the ranker tells apart tie.
    """
    device = torch.device(device)
    numbers = np.arange(len(rows)) if which is None else which
    costs = group_costs(ranker, device.type)
    collate = Collator(rows, ranker.config.history_length, ranker.vocabulary.items, costs, known)
    probabilities = np.empty(len(numbers), dtype=np.float64)
    was_training = ranker.training
    ranker.eval()
    with torch.inference_mode():
        for first in range(0, len(numbers), batch_size):
            chunk = numbers[first : first + batch_size]
            batch = collate(chunk).to(device)
            logits = score_batch(ranker, batch).double()
            in_row_order = torch.sigmoid(logits).cpu().numpy()[np.argsort(batch.rows_B, kind="stable")]
            probabilities[first + np.argsort(chunk, kind="stable")] = in_row_order
    ranker.train(was_training)
    return probabilities
