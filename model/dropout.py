"""Dropout whose masks are cheap on a processor: torch draws 64 random bits for each element there, and 16
are enough.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

_STEPS = 2**16  # of the drop probability


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Has the distribution of `F.dropout`. On a CPU the kept share is a multiple of 2**-16, and kept values are scaled
    by that share.
    """
    if not training or p == 0.0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, p)
    kept = round((1.0 - p) * _STEPS)
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    keep = words.view(torch.int16)[: x.numel()] < kept - _STEPS // 2
    return x * keep.to(x.dtype).mul_(_STEPS / kept).view(x.shape)


class Dropout(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"
