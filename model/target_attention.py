"""Sums of a history, weighted by attention from the target."""

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from model.config import ModelConfig
from model.transformer import learned_positions, newest_first, rows


class Dice(nn.Module):
    """An activation: x if it is large compared with its distribution over the batch, alpha x if it is small. Padding
    does not count in the distribution.
    """

    mean_X: Tensor
    variance_X: Tensor

    def __init__(self, width: int, momentum: float = 0.01, eps: float = 1e-9) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.alpha = nn.Parameter(torch.zeros(width))
        self.register_buffer("mean_X", torch.zeros(width))
        self.register_buffer("variance_X", torch.ones(width))

    def forward(self, x_BLX: Tensor, real_BL: Tensor) -> Tensor:
        if self.training:
            real_BL1 = real_BL[..., None].to(x_BLX.dtype)
            count = real_BL1.sum().clamp(min=1.0)
            mean_X = (x_BLX * real_BL1).sum((0, 1)) / count
            variance_X = ((x_BLX - mean_X).square() * real_BL1).sum((0, 1)) / count
            with torch.no_grad():
                self.mean_X.lerp_(mean_X.to(self.mean_X.dtype), self.momentum)
                self.variance_X.lerp_(variance_X.to(self.variance_X.dtype), self.momentum)
        else:
            mean_X, variance_X = self.mean_X, self.variance_X
        open_BLX = torch.sigmoid((x_BLX - mean_X) * torch.rsqrt(variance_X + self.eps))
        return x_BLX * (open_BLX + self.alpha * (1.0 - open_BLX))


class DinAttention(nn.Module):
    """A small network weighs each history item from [target, item, target - item, target * item]; no softmax."""

    def __init__(self, config: ModelConfig, item_width: int) -> None:
        super().__init__()
        widths = [4 * item_width, *config.attention_widths]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dice = nn.ModuleList(Dice(width) for width in widths[1:])
        self.score = nn.Linear(widths[-1], 1)
        first_width = widths[1] if config.attention_widths else 1  # without hidden layers the score is the first
        self.position = learned_positions(config, first_width)
        self.width = item_width

    def of_one_history(self, history_LD: Tensor, target_BD: Tensor, real_1L: Tensor) -> Tensor:
        """`forward` for rows that all have this history: each of its items is one map of the target."""
        first = self._layers()[0]
        weight_target, weight_item, weight_difference, weight_product = first.weight.chunk(4, dim=1)
        map_LFD = weight_product * history_LD[:, None] + (weight_target + weight_difference)
        offset_LF = F.linear(history_LD, weight_item - weight_difference, first.bias)
        features_BLF = F.linear(target_BD, map_LFD.flatten(0, 1), offset_LF.flatten()).view(-1, *offset_LF.shape)
        return self._weights(features_BLF, real_1L) @ history_LD

    def attention(self, items_UD: Tensor, history_BL: Tensor, target_BD: Tensor, real_BL: Tensor) -> Tensor:
        """Weights (B, L), zero on padding."""
        return self._weights(self._first(self._layers()[0], items_UD, history_BL, target_BD), real_BL)

    def _layers(self) -> list[nn.Linear]:
        return [layer for layer in (*self.hidden, self.score) if isinstance(layer, nn.Linear)]

    def _weights(self, first_BLF: Tensor, real_BL: Tensor) -> Tensor:
        """What the network makes of its first layer's outputs."""
        features_BLF = first_BLF
        if self.position is not None:
            features_BLF = features_BLF + newest_first(self.position, real_BL.shape[1])
        for dice, layer in zip(self.dice, self._layers()[1:], strict=True):
            features_BLF = layer(dice(features_BLF, real_BL))
        return features_BLF[..., 0].masked_fill(~real_BL, 0.0)

    @staticmethod
    def _first(first: nn.Linear, items_UD: Tensor, history_BL: Tensor, target_BD: Tensor) -> Tensor:
        """W [t, i, t-i, t*i] = (Wt + Wd) t + (Wi - Wd) i + Wp (t*i): only the product is made for each position."""
        weight_target, weight_item, weight_difference, weight_product = first.weight.chunk(4, dim=1)
        from_item_BLF = rows(F.linear(items_UD, weight_item - weight_difference), history_BL)
        from_target_BF = F.linear(target_BD, weight_target + weight_difference, first.bias)
        product_BLD = rows(items_UD, history_BL) * target_BD[:, None]
        return from_item_BLF + from_target_BF[:, None] + F.linear(product_BLD, weight_product)

    def forward(self, items_UD: Tensor, history_BL: Tensor, target_BD: Tensor, real_BL: Tensor) -> Tensor:
        weights_BL = self.attention(items_UD, history_BL, target_BD, real_BL)
        return torch.einsum("bl,bld->bd", weights_BL, rows(items_UD, history_BL))


class ReluAttention(nn.Module):
    """The weight is the dot product of query and key if that is positive, and zero otherwise; no softmax."""

    def __init__(self, config: ModelConfig, item_width: int) -> None:
        super().__init__()
        if item_width % config.heads:
            raise ValueError(f"model.heads = {config.heads}: must divide the item's width {item_width}")
        self.heads, self.width = config.heads, item_width
        self.query = nn.Linear(item_width, item_width)
        self.key = nn.Linear(item_width, item_width)
        self.value = nn.Linear(item_width, item_width)
        self.position = learned_positions(config, item_width)

    def attention(self, items_UD: Tensor, history_BL: Tensor, target_BD: Tensor, real_BL: Tensor) -> Tensor:
        """Weights (B, heads, L), zero on padding."""
        key_BLD = rows(self.key(items_UD), history_BL)
        if self.position is not None:
            key_BLD = key_BLD + newest_first(self.position, history_BL.shape[1])
        query_BHX = self.query(target_BD).view(-1, self.heads, self.width // self.heads)
        score_BHL = torch.einsum("bhx,blhx->bhl", query_BHX, self._by_head(key_BLD)) / query_BHX.shape[2] ** 0.5
        return torch.relu(score_BHL).masked_fill(~real_BL[:, None], 0.0)

    def forward(self, items_UD: Tensor, history_BL: Tensor, target_BD: Tensor, real_BL: Tensor) -> Tensor:
        weights_BHL = self.attention(items_UD, history_BL, target_BD, real_BL)
        value_BLHX = self._by_head(rows(self.value(items_UD), history_BL))
        return torch.einsum("bhl,blhx->bhx", weights_BHL, value_BLHX).flatten(1)

    def _by_head(self, x_BLD: Tensor) -> Tensor:
        return x_BLD.reshape(*x_BLD.shape[:2], self.heads, self.width // self.heads)
