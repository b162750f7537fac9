"""Features as vectors of one width: the codes of a category, of several, a number, or a given vector."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.config import Feature, code_columns, number_columns


def embedding(rows: int, width: int, std: float) -> nn.Embedding:
    """Row 0 is the padding: zero, and never trained."""
    table = nn.Embedding(rows, width, padding_idx=0)
    nn.init.normal_(table.weight, std=std)
    with torch.no_grad():
        table.weight[0].zero_()
    return table


class NumberEmbedding(nn.Module):
    """A linear map of a number or of a given vector, and a vector of its own for a missing one (NaN). Without a bias: 0
    becomes zero.

    A piecewise-linear number is a position p between 0 and `bins`; piece k of it is p - k, cut to [0, 1].
    """

    def __init__(self, bins: int, inputs: int, width: int) -> None:
        super().__init__()
        self.bins = bins
        self.map = nn.Linear(max(bins, inputs) + 1, width, bias=False)

    def forward(self, numbers_XK: Tensor) -> Tensor:
        missing_X1 = torch.isnan(numbers_XK).any(1, keepdim=True)
        pieces_XK = numbers_XK.masked_fill(missing_X1, 0.0)
        if self.bins:
            pieces_XK = (pieces_XK - torch.arange(self.bins, device=numbers_XK.device)).clamp(0.0, 1.0)
        mapped: Tensor = self.map(torch.cat([pieces_XK, missing_X1.to(pieces_XK.dtype)], dim=1))
        return mapped


class FeatureEmbeddings(nn.ModuleList):
    """One module for each feature in `used`; all of `features` have columns in the blocks of codes and numbers."""

    def __init__(self, features: Sequence[Feature], used: Sequence[Feature], std: float, width: int) -> None:
        super().__init__(
            embedding(feature.codes, width, std)
            if feature.codes
            else NumberEmbedding(feature.bins, feature.width, width)
            for feature in used
        )
        codes, numbers = code_columns(features), number_columns(features)
        self.names = [feature.name for feature in used]
        self.columns = [codes[feature.name] if feature.codes else numbers[feature.name] for feature in used]

    def forward(self, codes_XK: Tensor, numbers_XK: Tensor) -> list[Tensor]:
        parts: list[Tensor] = []
        for module, columns in zip(self, self.columns, strict=True):
            if isinstance(module, NumberEmbedding):
                parts.append(module(numbers_XK[:, columns]))
            elif columns.stop - columns.start == 1:
                parts.append(module(codes_XK[:, columns.start]))
            else:
                parts.append(mean_embedding(module, codes_XK[:, columns]))
        return parts

    def rows(self, codes_XK: Tensor) -> list[Tensor]:
        """The rows of each embedding that these codes name, each once."""
        return [
            module(torch.unique(codes_XK[:, columns]))
            for module, columns in zip(self, self.columns, strict=True)
            if isinstance(module, nn.Embedding)
        ]

    def tables(self) -> list[Tensor]:
        return [module.weight for module in self if isinstance(module, nn.Embedding)]

    def lists(self) -> list[Tensor]:
        """The embeddings of features with several codes: the long tables, of which a step uses few rows."""
        return [
            module.weight
            for module, columns in zip(self, self.columns, strict=True)
            if isinstance(module, nn.Embedding) and columns.stop - columns.start > 1
        ]


def mean_embedding(table: nn.Module, codes_XK: Tensor) -> Tensor:
    """The mean over the codes that are there; zero where there are none."""
    real_XK = codes_XK != 0
    mean_XE: Tensor = (table(codes_XK) * real_XK[..., None]).sum(1) / real_XK.sum(1, keepdim=True).clamp(min=1)
    return mean_XE
