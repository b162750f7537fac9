"""A ranker arranged to score one user's candidates. It computes once what a part of the request decides alone:

- for each item of the table: its vectors, and what the first layers of the networks make of it as a target;
- for each user: the pooled history and all that the networks make of it, and the projections of the history;
- for each candidate: the rest.

The scores are those of `Ranker`, except for rounding, because sums are added up in another order.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from model.interaction import CrossNetwork, LowRankCrossNetwork
from model.pooling import MeanPool, RecencyPool
from model.ranker import InterestModule, Ranker
from model.similarity import block_products
from model.target_attention import DinAttention
from model.transformer import InterestTransformer


class Candidates(NamedTuple):
    """One request. The history is oldest first, and `real_L` is 0 for its padding. The items are as
    `Ranker.item_encoder` gives them for a history and for a target; `first_BX` is `CandidateScorer.target(target_BD)`.
    """

    history_LD: Tensor
    history_LC: Tensor
    real_L: Tensor
    target_BD: Tensor
    target_BC: Tensor
    first_BX: Tensor
    codes_BX: Tensor
    numbers_BX: Tensor


class CandidateScorer(nn.Module):
    """The features stand in the ranker's order: the pooled history, which is the same in all rows; other interests; the
    features of the row; the target; the similarities. X counts the outputs of all layers that read the features first.
    """

    bias_X: Tensor

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker
        self.interests = [module for module in (ranker.interest, ranker.target_attention) if module is not None]
        widths = [module.width for module in self.interests]
        self.pooled = widths[0] if isinstance(ranker.interest, RecencyPool | MeanPool) else 0
        sizes = [
            self.pooled,
            sum(widths) - self.pooled,
            len(ranker.row) * ranker.config.embedding_dim,
            ranker.item_encoder.width,
        ]
        weight_XF, bias_X = _first_layers(ranker)
        user_XF, interest_XF, row_XF, target_XD, similar_XF = torch.split(
            weight_XF, [*sizes, weight_XF.shape[1] - sum(sizes)], dim=1
        )
        self.register_buffer("bias_X", bias_X)
        self.user, self.target = _Part(user_XF), _Part(target_XD)
        self.rest = _Part(torch.cat([interest_XF, row_XF, similar_XF], dim=1))
        self.head = _layers(ranker.head)

    def forward(self, request: Candidates) -> Tensor:
        """Logits of the candidates."""
        ranker, target_BD, real_1L = self.ranker, request.target_BD, (request.real_L != 0)[None]
        found = [_interest(module, request.history_LD, target_BD, real_1L) for module in self.interests]
        pooled_1F, interests = (found[0], found[1:]) if self.pooled else (None, found)
        similar = ranker.similarities(request.history_LC[None], request.target_BC, real_1L)
        if ranker.config.block_products:
            similar = [block_products(found[0], target_BD, ranker.item_encoder.blocks), *similar]
        row = ranker.row(request.codes_BX, request.numbers_BX)
        varying_BF = torch.cat([*interests, *row, target_BD, *similar], dim=1)
        bias_X = self.bias_X if pooled_1F is None else self.user(pooled_1F)[0] + self.bias_X
        rest_BF = torch.cat([*interests, *row, *similar], dim=1)
        first_BX = F.linear(rest_BF, self.rest.weight_XF, bias_X).add_(request.first_BX)
        logits_B = self._interact(pooled_1F, varying_BF, first_BX)
        return logits_B if ranker.calibration is None else ranker.calibration(logits_B)

    def _interact(self, pooled_1F: Tensor | None, varying_BF: Tensor, first_BX: Tensor) -> Tensor:
        cross, read = self.ranker.cross, self.head[0]
        crossed_width = 0 if cross is None else self.ranker.features
        hidden_BX = F.linear(self._deep(pooled_1F, varying_BF, first_BX), read.weight[:, crossed_width:], read.bias)
        if cross is not None:
            hidden_BX = hidden_BX + _crossed(
                _cross_layers(cross), pooled_1F, varying_BF, first_BX, read.weight[:, :crossed_width]
            )
        for layer in self.head[1:]:
            hidden_BX = layer(torch.relu(hidden_BX))
        return hidden_BX[:, 0]

    def _deep(self, pooled_1F: Tensor | None, varying_BF: Tensor, first_BX: Tensor) -> Tensor:
        layers = _layers(self.ranker.deep)
        if not layers:
            return _joined(pooled_1F, varying_BF)
        hidden_BX = torch.relu(first_BX[:, -layers[0].out_features :])
        for layer in layers[1:]:
            hidden_BX = torch.relu(layer(hidden_BX))
        return hidden_BX


class _Part(nn.Module):
    """Some columns of a linear map."""

    weight_XF: Tensor

    def __init__(self, weight_XF: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight_XF", weight_XF.contiguous())

    def forward(self, features_BF: Tensor) -> Tensor:
        return F.linear(features_BF, self.weight_XF)


def _crossed(
    layers: list[tuple[nn.Linear | None, nn.Linear]],
    pooled_1F: Tensor | None,
    varying_BF: Tensor,
    first_BX: Tensor,
    head_XF: Tensor,
) -> Tensor:
    """What the head's first layer makes of the cross network's output.

    Of the last layer, Hs (fs * (U c + b)) = (Hs diag(fs) U) c + Hs (fs * b): the head reads its pooled features, fs,
    through one small matrix for each user, and no row computes them.
    """
    features_BF = _joined(pooled_1F, varying_BF)
    down, up = layers[0]
    mixed_BF = first_BX[:, : up.out_features] if down is None else up(first_BX[:, : down.out_features])
    crossed_BF = torch.addcmul(features_BF, features_BF, mixed_BF)
    for down, up in layers[1:-1]:
        mixed_BF = up(crossed_BF if down is None else down(crossed_BF))
        crossed_BF = torch.addcmul(crossed_BF, features_BF, mixed_BF)
    if len(layers) == 1:
        return F.linear(crossed_BF, head_XF)
    down, up = layers[-1]
    narrow_BX = crossed_BF if down is None else down(crossed_BF)
    if pooled_1F is None:
        return F.linear(torch.addcmul(crossed_BF, features_BF, up(narrow_BX)), head_XF)
    width = pooled_1F.shape[1]
    mixed_BF = F.linear(narrow_BX, up.weight[width:], up.bias[width:])
    last_BF = torch.addcmul(crossed_BF[:, width:], varying_BF, mixed_BF)
    scaled_XF = head_XF[:, :width] * pooled_1F
    through_BX = F.linear(narrow_BX, scaled_XF @ up.weight[:width], scaled_XF @ up.bias[:width])
    return through_BX + F.linear(torch.cat([crossed_BF[:, :width], last_BF], dim=1), head_XF)


def _interest(module: InterestModule, history_LD: Tensor, target_BD: Tensor, real_1L: Tensor) -> Tensor:
    """One row for a pooled history, else one for each target."""
    if isinstance(module, InterestTransformer | DinAttention):
        return module.of_one_history(history_LD, target_BD, real_1L)
    own_1L = torch.arange(history_LD.shape[0], device=history_LD.device)[None]
    interest: Tensor = module(history_LD, own_1L, target_BD, real_1L)
    return interest


def _first_layers(ranker: Ranker) -> tuple[Tensor, Tensor]:
    """Weights and biases of the layers that read the features first: the cross network's, then the deep network's."""
    cross = [] if ranker.cross is None else _cross_layers(ranker.cross)[:1]
    layers = [up if down is None else down for down, up in cross] + _layers(ranker.deep)[:1]
    any_X = _layers(ranker.head)[0].weight.detach()[0]
    weights = [any_X.new_zeros(0, ranker.features), *(layer.weight.detach() for layer in layers)]
    biases = [any_X.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias.detach() for layer in layers]
    return torch.cat(weights), torch.cat([any_X.new_zeros(0), *biases])


def _cross_layers(cross: nn.Module) -> list[tuple[nn.Linear | None, nn.Linear]]:
    """(down, up) of each layer; a layer with a full matrix has no down."""
    if isinstance(cross, LowRankCrossNetwork):
        return list(zip(_layers(cross.down), _layers(cross.up), strict=True))
    assert isinstance(cross, CrossNetwork)
    return [(None, layer) for layer in _layers(cross.layers)]


def _layers(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


def _joined(pooled_1F: Tensor | None, varying_BF: Tensor) -> Tensor:
    if pooled_1F is None:
        return varying_BF
    return torch.cat([pooled_1F.expand(varying_BF.shape[0], -1), varying_BF], dim=1)
