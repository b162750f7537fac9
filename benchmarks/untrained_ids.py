"""What the id embedding of an untrained item can be, other than the linear map of model/untrained.py."""

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from model.untrained import untrained_ids

Kind = Literal["zero", "mean", "nearest", "ridge"]

NEIGHBOURS = 10  # items whose mean `nearest` takes
_BLOCK = 2048  # items compared with all trained ones at once


@torch.no_grad()
def ids_of_kind(kind: Kind, id_SE: Tensor, content_SC: Tensor, content_NC: Tensor) -> Tensor:
    """The id embeddings of N items by their content; S items were trained.

    zero     what `model.id_dropout` teaches the ranker to live with
    mean     that of all trained items
    nearest  the mean of the items whose content has the largest cosines
    ridge    the linear map
    """
    if kind == "zero" or not len(id_SE):
        return id_SE.new_zeros(len(content_NC), id_SE.shape[1])
    if kind == "mean":
        return id_SE.mean(0).expand(len(content_NC), -1).clone()
    if kind == "ridge":
        return untrained_ids(id_SE, content_SC, content_NC)
    unit_SC = F.normalize(content_SC, dim=1)
    parts = [F.normalize(part_XC, dim=1) @ unit_SC.T for part_XC in torch.split(content_NC, _BLOCK)]
    places = [alike_XS.topk(min(NEIGHBOURS, len(id_SE)), dim=1).indices for alike_XS in parts]
    nearest_NE: Tensor = id_SE[torch.cat(places)].mean(1)
    return nearest_NE
