"""Poolings of a history that do not depend on the target; the cross network combines the two."""

import torch
from torch import Tensor, nn

from model.config import ModelConfig
from model.transformer import rows


def ever_longer(heads: int, longest: int) -> Tensor:
    """A reach in items for each head, from short to the longest, in equal ratios."""
    return torch.pow(longest, torch.arange(1, heads + 1) / heads)


class MeanPool(nn.Module):
    """The mean of the items, whatever the target and the order; zero for an empty history."""

    def __init__(self, item_width: int) -> None:
        super().__init__()
        self.width = item_width

    def attention(self, items_UD: Tensor, history_BL: Tensor, target_BD: Tensor, real_BL: Tensor) -> Tensor:  # noqa: ARG002
        return real_BL / real_BL.sum(1, keepdim=True).clamp(min=1)

    def forward(self, items_UD: Tensor, history_BL: Tensor, target_BD: Tensor, real_BL: Tensor) -> Tensor:
        weights_BL = self.attention(items_UD, history_BL, target_BD, real_BL).to(items_UD.dtype)
        return torch.einsum("bl,bld->bd", weights_BL, rows(items_UD, history_BL))


class RecencyPool(nn.Module):
    """For each head a sum of the history, with learned weights that depend on an item's age. At the start they decay
    with age, more slowly from head to head. These are sums, not means, because ten items that agree are more evidence
    than one.
    """

    def __init__(self, config: ModelConfig, item_width: int) -> None:
        super().__init__()
        age_L = torch.arange(config.history_length)
        reach_H = ever_longer(config.heads, config.history_length)
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
