"""Feature interaction: the cross network, which multiplies features, and the deep network."""

from collections.abc import Sequence

from torch import Tensor, nn

from model.dropout import Dropout
from model.staircase import Staircase, staircase_linear


class CrossNetwork(nn.Module):
    """DCNv2: c <- f * (W c + b) + c, each layer one degree higher in the features f."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.width = width

    def forward(self, features_BF: Tensor) -> Tensor:
        crossed_BF = features_BF
        for layer in self.layers:
            crossed_BF = features_BF * layer(crossed_BF) + crossed_BF
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

    def forward(self, features_BF: Tensor) -> Tensor:
        crossed_BF = features_BF
        for down, up in zip(self.down, self.up, strict=True):
            crossed_BF = features_BF * up(down(crossed_BF)) + crossed_BF
        return crossed_BF


class DeepNetwork(nn.Sequential):
    """Linear, ReLU and dropout for each width."""

    def __init__(self, width: int, widths: Sequence[int], dropout: float) -> None:
        blocks: list[nn.Module] = []
        for width_in, width_out in zip([width, *widths], widths, strict=False):
            blocks += [nn.Linear(width_in, width_out), nn.ReLU(), Dropout(dropout)]
        super().__init__(*blocks)
        self.width = widths[-1] if widths else width

    def forward_staircase(self, features_BF: Tensor, stairs: Staircase) -> Tensor:
        """The same for features with zeros as `stairs` says."""
        first = self[0]
        assert isinstance(first, nn.Linear)
        hidden = staircase_linear(features_BF, first.weight, first.bias, stairs, square=False)
        for module in list(self)[1:]:
            hidden = module(hidden)
        return hidden
