"""Id embeddings for items that no training has held, made from those of the items that it has."""

import torch
from torch import Tensor

_PENALTY = 0.1  # of the map, as a share of the content's mean square


@torch.no_grad()
def untrained_ids(id_SE: Tensor, content_SC: Tensor, content_NC: Tensor) -> Tensor:
    """The id embeddings of N items by a linear map from content to id embedding, a ridge regression over the S trained
    items. benchmarks/new_items.py compares it with other ways.
    """
    if not len(id_SE):
        return id_SE.new_zeros(len(content_NC), id_SE.shape[1])
    content_SC, content_NC, id_SE64 = content_SC.double(), content_NC.double(), id_SE.double()
    mean_C, mean_E = content_SC.mean(0), id_SE64.mean(0)
    centred_SC = content_SC - mean_C
    products_CC = centred_SC.T @ centred_SC
    products_CC.diagonal().add_(_PENALTY * products_CC.trace() / max(1, len(mean_C)) + 1e-12)
    map_CE = torch.linalg.solve(products_CC, centred_SC.T @ (id_SE64 - mean_E))
    return torch.addmm(mean_E, content_NC - mean_C, map_CE).to(id_SE.dtype)
