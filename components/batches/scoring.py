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
    row = batch.item_B, batch.codes_BX, batch.numbers_BX
    return ranker.score_groups(encoded, batch.histories, *row, batch.stairs, batch.events)


def score(
    ranker: Ranker,
    rows: RowStore,
    batch_size: int = 4096,
    device: str | torch.device = "cpu",
    which: npt.NDArray[Any] | None = None,
    known: npt.NDArray[np.bool_] | None = None,
) -> Scores:
    """Click probabilities of all rows, or of the row numbers in `which`, in that order."""
    return probabilities(score_logits(ranker, rows, batch_size, device, which, known))


def score_as_sampled(
    ranker: Ranker,
    rows: RowStore,
    batch_size: int = 4096,
    device: str | torch.device = "cpu",
    known: npt.NDArray[np.bool_] | None = None,
) -> Scores:
    """`score` for rows that leave out the same share of non-clicks as the training's, so that both can be compared.

    Scores are corrected for this share, where `train.negatives_kept` names one; here the correction is undone.
    """
    scores = score(ranker, rows, batch_size, device, known=known)
    kept = 1.0 if ranker.calibration is None else ranker.calibration.of.negatives_kept
    return scores / (scores + kept * (1 - scores)) if kept < 1 else scores


def probabilities(logits: npt.NDArray[np.float32]) -> Scores:
    """In float64: in float32 the logits above 16.6 all become the probability 1, where the ranker tells rows apart."""
    return torch.sigmoid(torch.tensor(logits, dtype=torch.float64)).numpy()


def score_logits(
    ranker: Ranker,
    rows: RowStore,
    batch_size: int = 4096,
    device: str | torch.device = "cpu",
    which: npt.NDArray[Any] | None = None,
    known: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.float32]:
    """The logits of all rows, or of the row numbers in `which`, in that order.

    `known` says by id which items the ranker knows; without it, all that its table has a row for.
    """
    device = torch.device(device)
    numbers = np.arange(len(rows)) if which is None else which
    costs = group_costs(ranker, device.type)
    collate = Collator(rows, ranker.config.history_length, ranker.vocabulary.items, costs, known)
    logits = np.empty(len(numbers), dtype=np.float32)
    was_training = ranker.training
    ranker.eval()
    with torch.inference_mode():
        for first in range(0, len(numbers), batch_size):
            chunk = numbers[first : first + batch_size]
            batch = collate(chunk).to(device)
            logits_B = score_batch(ranker, batch).float()
            in_row_order = logits_B.cpu().numpy()[np.argsort(batch.rows_B, kind="stable")]
            logits[first + np.argsort(chunk, kind="stable")] = in_row_order
    ranker.train(was_training)
    return logits
