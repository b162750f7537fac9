"""The terms that training minimises; the trainer has their weights."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from model.ranker import Ranker


def bce(logits_B: Tensor, label_B: Tensor, weight_B: Tensor | None = None) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits_B, label_B.to(logits_B.dtype), weight_B)


def pairwise(logits_B: Tensor, label_B: Tensor, block: int = 4096, weight_B: Tensor | None = None) -> Tensor:
    """log(1 + exp(negative - positive)), averaged over the pairs of a batch; zero where a batch has one class. A pair
    weighs as much as the product of its rows.

    Pairs are formed within blocks of rows, since their number grows with the square of the block.
    """
    total, pairs = logits_B.new_zeros(()), logits_B.new_zeros(())
    clicked_B, other_B = label_B.to(logits_B.dtype), 1.0 - label_B.to(logits_B.dtype)
    if weight_B is not None:
        clicked_B, other_B = clicked_B * weight_B, other_B * weight_B
    columns = (torch.split(column, block) for column in (logits_B, clicked_B, other_B))
    for scores, clicked, other in zip(*columns, strict=True):
        opposed_BB = clicked[:, None] * other[None, :]
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
