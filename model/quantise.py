"""Content as semantic ids: residual and product quantisation by k-means, and how much of the content they keep."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from model.config import CodeKind


@dataclass(frozen=True)
class QuantiserReport:
    """`error`: what is left of the variance after each level. `utilisation`: share of each codebook in use."""

    error: tuple[float, ...]
    utilisation: tuple[float, ...]
    distinct: int  # code tuples among the fitted items
    fitted: int  # items


def nearest(points_NC: Tensor, centres_KC: Tensor, block: int = 8192) -> Tensor:
    """The index of each point's nearest centre, by blocks so that N x K distances never stand at once."""
    halves_K = centres_KC.square().sum(1) / 2
    return torch.cat([(halves_K - part @ centres_KC.T).argmin(1) for part in torch.split(points_NC, block)])


def kmeans(points_NC: Tensor, centres: int, generator: torch.Generator, iterations: int = 50) -> Tensor:
    """Lloyd's iterations from a k-means++ start; a centre that lost all its points moves to the worst-fitted one."""
    centres_KC = _spread_start(points_NC, centres, generator)
    for _ in range(iterations):
        code_N = nearest(points_NC, centres_KC)
        count_K = torch.bincount(code_N, minlength=centres)
        sum_KC = torch.zeros_like(centres_KC).index_add_(0, code_N, points_NC)
        moved_KC = torch.where(count_K[:, None] > 0, sum_KC / count_K.clamp(min=1)[:, None], centres_KC)
        empty = (count_K == 0).nonzero().flatten()
        if len(empty):
            worst = (points_NC - centres_KC[code_N]).square().sum(1).topk(len(empty)).indices
            moved_KC[empty] = points_NC[worst]
        if torch.equal(moved_KC, centres_KC):
            break
        centres_KC = moved_KC
    return centres_KC


def _spread_start(points_NC: Tensor, centres: int, generator: torch.Generator) -> Tensor:
    chosen = [int(torch.randint(len(points_NC), (1,), generator=generator))]
    distance_N = (points_NC - points_NC[chosen[0]]).square().sum(1)
    for _ in range(1, centres):
        weight_N = distance_N if float(distance_N.sum()) > 0 else torch.ones_like(distance_N)
        chosen.append(int(torch.multinomial(weight_N, 1, generator=generator)))
        distance_N = torch.minimum(distance_N, (points_NC - points_NC[chosen[-1]]).square().sum(1))
    return points_NC[chosen].clone()


def columns_of_levels(kind: CodeKind, levels: int, width: int) -> tuple[slice, ...]:
    """The columns that each level codes: of a residual quantiser all, of a product quantiser its own part."""
    if kind == "residual":
        return (slice(None),) * levels
    if levels > width:
        raise ValueError(
            f"model.code_levels = {levels}: product quantisation splits the content's {width} columns, "
            f"so there must be at most {width}"
        )
    # Every n-th column, not n runs of neighbours: content comes from a PCA, its columns in falling order of variance.
    # A first run would hold nearly all of it, and as many codes would then be spent on the noise of the last.
    return tuple(slice(level, None, levels) for level in range(levels))


@dataclass(frozen=True)
class Quantiser:
    """Each level codes the part of its own columns that the levels before it left over."""

    mean_C: Tensor
    codebooks: tuple[Tensor, ...]  # each (K, columns of its level)
    columns: tuple[slice, ...]

    @classmethod
    def fit(cls, points_NC: Tensor, kind: CodeKind, levels: int, codebook_size: int, seed: int = 0) -> Self:
        if len(points_NC) == 0:
            raise ValueError("a quantiser needs items to be fitted on; the item table marks none as seen")
        columns = columns_of_levels(kind, levels, points_NC.shape[1])
        generator = torch.Generator(points_NC.device).manual_seed(seed)
        mean_C = points_NC.double().mean(0)
        residual_NC, codebooks = points_NC.double() - mean_C, []
        for own in columns:
            centres_KX = kmeans(residual_NC[:, own], min(codebook_size, len(points_NC)), generator)
            residual_NC[:, own] -= centres_KX[nearest(residual_NC[:, own], centres_KX)]
            codebooks.append(centres_KX)
        return cls(mean_C, tuple(codebooks), columns)

    def encode(self, points_NC: Tensor) -> Tensor:
        residual_NC, codes = points_NC.double() - self.mean_C, []
        for centres_KX, own in zip(self.codebooks, self.columns, strict=True):
            codes.append(nearest(residual_NC[:, own], centres_KX))
            residual_NC[:, own] -= centres_KX[codes[-1]]
        return torch.stack(codes, dim=1)

    def decode(self, codes_NQ: Tensor) -> Tensor:
        """The points that codes stand for; of the first few codes alone, the points as far as those tell."""
        points_NC = self.mean_C.repeat(len(codes_NQ), 1)
        for codes_N, centres_KX, own in zip(codes_NQ.T, self.codebooks, self.columns, strict=False):
            points_NC[:, own] += centres_KX[codes_N]
        return points_NC

    def report(self, points_NC: Tensor) -> QuantiserReport:
        codes_NQ = self.encode(points_NC)
        variance = (points_NC.double() - points_NC.double().mean(0)).square().sum().clamp(min=1e-12)
        told = [self.decode(codes_NQ[:, :level]) for level in range(1, len(self.codebooks) + 1)]
        return QuantiserReport(
            error=tuple(float((points_NC.double() - told_NC).square().sum() / variance) for told_NC in told),
            utilisation=tuple(
                len(torch.unique(codes_N)) / len(book) for codes_N, book in zip(codes_NQ.T, self.codebooks, strict=True)
            ),
            distinct=len(torch.unique(codes_NQ, dim=0)),
            fitted=len(points_NC),
        )
