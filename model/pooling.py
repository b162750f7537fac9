"""Poolings of a history that do not look at the target; meeting it is left to the cross network."""

import torch
from torch import Tensor, nn

from model.config import ModelConfig
from model.transformer import rows


class MeanPool(nn.Module):
    """Blind to the target and to order; an empty history is zero."""

    def __init__(self, item_width: int) -> None:
        super().__init__()
        self.width = item_width

    def attention(self, items_UD: Tensor, history_BL: Tensor, target_BD: Tensor, real_BL: Tensor) -> Tensor:  # noqa: ARG002
        return real_BL / real_BL.sum(1, keepdim=True).clamp(min=1)

    def forward(self, items_UD: Tensor, history_BL: Tensor, target_BD: Tensor, real_BL: Tensor) -> Tensor:
        weights_BL = self.attention(items_UD, history_BL, target_BD, real_BL).to(items_UD.dtype)
        return torch.einsum("bl,bld->bd", weights_BL, rows(items_UD, history_BL))


class RecencyPool(nn.Module):
    """Sums a history once a head, each under its own learned weights of age; they start as decays of ever longer reach.

    Sums, not means: ten items that agree are more evidence than one.
    """

    def __init__(self, config: ModelConfig, item_width: int) -> None:
        super().__init__()
        age_L = torch.arange(config.history_length)
        reach_H = config.history_length ** (torch.arange(1, config.heads + 1) / config.heads)
        self.weight_HL = nn.Parameter(torch.exp(-age_L / reach_H[:, None]) / reach_H[:, None])
        self.width = config.heads * item_width

    def attention(self, items_UD: Tensor, history_BL: Tensor, target_BD: Tensor, real_BL: Tensor) -> Tensor:  # noqa: ARG002
        """Weights (B, heads, L), zero on padding."""
        # By index, not by slice: an exported program would refuse a history as long as the slice's whole source.
        age_L = torch.arange(history_BL.shape[1] - 1, -1, -1, device=history_BL.device)
        return self.weight_HL[:, age_L] * real_BL[:, None]

    def forward(self, items_UD: Tensor, history_BL: Tensor, target_BD: Tensor, real_BL: Tensor) -> Tensor:
        weights_BHL = self.attention(items_UD, history_BL, target_BD, real_BL).to(items_UD.dtype)
        return torch.einsum("bhl,bld->bhd", weights_BHL, rows(items_UD, history_BL)).flatten(1)
