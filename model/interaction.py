"""Feature interaction: the cross network, which multiplies features, and the deep network."""

from collections.abc import Sequence

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from model.dropout import Dropout
from model.staircase import Staircase, staircase_linear


def shared_linear(layer: nn.Module, features_BF: Tensor, shared: int) -> Tensor:
    """A linear layer on rows whose first `shared` features are all the same: their part is computed once."""
    assert isinstance(layer, nn.Linear)
    if not shared:
        return F.linear(features_BF, layer.weight, layer.bias)
    once_1X = F.linear(features_BF[:1, :shared], layer.weight[:, :shared], layer.bias)
    return once_1X + F.linear(features_BF[:, shared:], layer.weight[:, shared:])


class CrossNetwork(nn.Module):
    """DCNv2: c <- f * (W c + b) + c, each layer one degree higher in the features f."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.width = width

    def forward(self, features_BF: Tensor, shared: int = 0) -> Tensor:
        """In every row the first `shared` features are the same."""
        crossed_BF = features_BF
        for depth, layer in enumerate(self.layers):
            mixed_BF = layer(crossed_BF) if depth else shared_linear(layer, features_BF, shared)
            crossed_BF = features_BF * mixed_BF + crossed_BF
        return crossed_BF

    def forward_staircase(self, features_BF: Tensor, stairs: Staircase) -> Tensor:
        """The same for features with zeros as `stairs` says; they stay zero."""
        crossed_BF = features_BF
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            mixed_BF = staircase_linear(crossed_BF, layer.weight, layer.bias, stairs, square=True)
            crossed_BF = features_BF * mixed_BF + crossed_BF
        return crossed_BF


class LowRankCrossNetwork(nn.Module):
    """The same with W = U V of a given rank: 2 r F weights a layer instead of F squared."""

    def __init__(self, width: int, layers: int, rank: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(nn.Linear(width, rank, bias=False) for _ in range(layers))
        self.up = nn.ModuleList(nn.Linear(rank, width) for _ in range(layers))
        self.width = width

    def forward(self, features_BF: Tensor, shared: int = 0) -> Tensor:
        """In every row the first `shared` features are the same."""
        crossed_BF = features_BF
        for depth, (down, up) in enumerate(zip(self.down, self.up, strict=True)):
            narrow_BX = down(crossed_BF) if depth else shared_linear(down, features_BF, shared)
            crossed_BF = features_BF * up(narrow_BX) + crossed_BF
        return crossed_BF


class DeepNetwork(nn.Sequential):
    """Linear, ReLU and dropout for each width."""

    def __init__(self, width: int, widths: Sequence[int], dropout: float) -> None:
        blocks: list[nn.Module] = []
        for width_in, width_out in zip([width, *widths], widths, strict=False):
            blocks += [nn.Linear(width_in, width_out), nn.ReLU(), Dropout(dropout)]
        super().__init__(*blocks)
        self.width = widths[-1] if widths else width

    def forward(self, features_BF: Tensor, shared: int = 0) -> Tensor:
        """In every row the first `shared` features are the same."""
        hidden = features_BF
        for depth, module in enumerate(self):
            hidden = module(hidden) if depth else shared_linear(module, features_BF, shared)
        return hidden

    def forward_staircase(self, features_BF: Tensor, stairs: Staircase) -> Tensor:
        """The same for features with zeros as `stairs` says."""
        first = self[0]
        assert isinstance(first, nn.Linear)
        hidden = staircase_linear(features_BF, first.weight, first.bias, stairs, square=False)
        for module in list(self)[1:]:
            hidden = module(hidden)
        return hidden
