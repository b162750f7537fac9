"""The terms that training minimises; the trainer has their weights."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from model.ranker import Ranker


def bce(logits_B: Tensor, label_B: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits_B, label_B.to(logits_B.dtype))


def pairwise(logits_B: Tensor, label_B: Tensor, block: int = 4096) -> Tensor:
    """log(1 + exp(negative - positive)), averaged over the pairs of a batch; zero where a batch has one class.

    Pairs are formed within blocks of rows, since their number grows with the square of the block.
    """
    total, pairs = logits_B.new_zeros(()), logits_B.new_zeros(())
    for scores, labels in zip(torch.split(logits_B, block), torch.split(label_B, block), strict=True):
        opposed_BB = labels[:, None].to(scores.dtype) * (1.0 - labels[None, :].to(scores.dtype))
        total = total + (F.softplus(scores[None, :] - scores[:, None]) * opposed_BB).sum()
        pairs = pairs + opposed_BB.sum()
    return total / pairs.clamp(min=1.0)


def touched_l2(ranker: Ranker, ids_U: Tensor) -> Tensor:
    """Half the squared length of each embedding row that the batch's distinct items touch, summed, each row once.

    The embeddings of the features of rows and events are counted whole: a batch touches nearly all rows of a short one.
    """
    encoder = ranker.item_encoder
    touched = [
        encoder.id(ids_U),
        *encoder.features.rows(ranker.table.codes_NX[ids_U]),
        *ranker.row.tables(),
        *ranker.event.tables(),
    ]
    if "codes" in ranker.config.content:
        touched.append(encoder.codes.code(torch.unique(encoder.codes.codes_NQ[ids_U])))
    return torch.stack([rows.square().sum() for rows in touched]).sum() / 2
