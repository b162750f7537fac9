"""Losses by which frozen content guides the id embeddings of the same items."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def contrastive(id_SE: Tensor, content_SE: Tensor, temperature: float) -> Tensor:
    """InfoNCE in both directions: an item's id embedding finds its own content among all, and its content the id."""
    alike_SS = F.normalize(id_SE, dim=-1) @ F.normalize(content_SE, dim=-1).T / temperature
    own_S = torch.arange(len(alike_SS), device=alike_SS.device)
    return (F.cross_entropy(alike_SS, own_S) + F.cross_entropy(alike_SS.T, own_S)) / 2


def relational(id_SE: Tensor, content_SC: Tensor, id_temperature: float, content_temperature: float) -> Tensor:
    """KL divergence between two distributions of each item over the others: by similarity of content, and by similarity
    of ids. Only similarities are compared, so the widths may differ and no map between the two spaces is learned. No
    gradient flows into the content.
    """
    with torch.no_grad():
        teacher_SS = _likeness_to_others(content_SC, content_temperature)
    return F.kl_div(_likeness_to_others(id_SE, id_temperature), teacher_SS, reduction="batchmean", log_target=True)


def _likeness_to_others(vectors_SX: Tensor, temperature: float) -> Tensor:
    """Log of the softmax of each item's cosines to the others."""
    unit_SX = F.normalize(vectors_SX, dim=-1)
    alike_SS = unit_SX @ unit_SX.T / temperature
    itself_SS = torch.eye(len(alike_SS), dtype=torch.bool, device=alike_SS.device)
    # Finite, not minus infinity: in the divergence a share of exactly 0 must meet a difference of logs of 0, not NaN.
    return alike_SS.masked_fill(itself_SS, torch.finfo(alike_SS.dtype).min).log_softmax(1)
