"""Content as semantic ids: a residual quantiser fitted with k-means, and what it keeps of the content."""

from dataclasses import dataclass

import torch
from torch import Tensor


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


@dataclass(frozen=True)
class ResidualQuantiser:
    """Each level quantises what the levels before it left over."""

    codebooks: tuple[Tensor, ...]  # each (K, C)

    @classmethod
    def fit(cls, points_NC: Tensor, levels: int, codebook_size: int, seed: int = 0) -> "ResidualQuantiser":
        if len(points_NC) == 0:
            raise ValueError("a residual quantiser needs items to be fitted on; the item table marks none as seen")
        generator = torch.Generator(points_NC.device).manual_seed(seed)
        residual_NC, codebooks = points_NC.double(), []
        for _ in range(levels):
            centres_KC = kmeans(residual_NC, min(codebook_size, len(points_NC)), generator)
            residual_NC = residual_NC - centres_KC[nearest(residual_NC, centres_KC)]
            codebooks.append(centres_KC)
        return cls(tuple(codebooks))

    def encode(self, points_NC: Tensor) -> Tensor:
        residual_NC, codes = points_NC.double(), []
        for centres_KC in self.codebooks:
            codes.append(nearest(residual_NC, centres_KC))
            residual_NC = residual_NC - centres_KC[codes[-1]]
        return torch.stack(codes, dim=1)

    def decode(self, codes_NQ: Tensor) -> Tensor:
        return torch.stack([book[codes_NQ[:, q]] for q, book in enumerate(self.codebooks)]).sum(0)

    def report(self, points_NC: Tensor) -> QuantiserReport:
        codes_NQ = self.encode(points_NC)
        points_NC = points_NC.double()
        variance = (points_NC - points_NC.mean(0)).square().sum().clamp(min=1e-12)
        error, used, residual_NC = [], [], points_NC
        for q, book in enumerate(self.codebooks):
            residual_NC = residual_NC - book[codes_NQ[:, q]]
            error.append(float(residual_NC.square().sum() / variance))
            used.append(len(torch.unique(codes_NQ[:, q])) / len(book))
        return QuantiserReport(tuple(error), tuple(used), len(torch.unique(codes_NQ, dim=0)), len(points_NC))
