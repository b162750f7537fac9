"""Frozen content made comparable to learned embeddings: a normalisation, then a map."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from model.config import ContentMap, ContentNorm, ModelConfig


class ContentNormalisation(nn.Module):
    """Nothing is learned here; `standardise` takes mean and deviation of the items seen in train."""

    mean_C: Tensor
    deviation_C: Tensor

    def __init__(self, kind: ContentNorm, width: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "standardise":
            self.register_buffer("mean_C", torch.zeros(width))
            self.register_buffer("deviation_C", torch.ones(width))

    def fit(self, content_NC: Tensor, seen_N: Tensor) -> None:
        if self.kind == "standardise" and bool(seen_N.any()):
            seen_SC = content_NC[seen_N]
            self.mean_C.copy_(seen_SC.mean(0))
            deviation_C = seen_SC.std(0, unbiased=False)
            self.deviation_C.copy_(torch.where(deviation_C > 0, deviation_C, 1.0))

    def forward(self, content_UC: Tensor) -> Tensor:
        if self.kind == "standardise":
            return (content_UC - self.mean_C) / self.deviation_C
        if self.kind == "l2":
            return F.normalize(content_UC, dim=-1)
        if self.kind == "rmsnorm":
            return F.rms_norm(content_UC, content_UC.shape[-1:], eps=1e-12)
        return content_UC


class GatedMap(nn.Module):
    """A hidden layer in which one half gates the other: value times sigmoid(gate)."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.widen = nn.Linear(width_in, 4 * width_out)
        self.narrow = nn.Linear(2 * width_out, width_out)

    def forward(self, content_UC: Tensor) -> Tensor:
        value, gate = self.widen(content_UC).chunk(2, dim=-1)
        mapped: Tensor = self.narrow(value * torch.sigmoid(gate))
        return mapped


def content_map(kind: ContentMap, width_in: int, config: ModelConfig) -> tuple[nn.Module, int]:
    """The map and the width it gives. `linear` has no bias, as in the reference."""
    if kind == "linear":
        return nn.Linear(width_in, config.content_dim, bias=False), config.content_dim
    if kind == "gated-mlp":
        return GatedMap(width_in, config.content_dim), config.content_dim
    return nn.Identity(), width_in


def principal_start(content_NC: Tensor, seen_N: Tensor, width: int, std: float) -> Tensor:
    """Content's first principal components, scaled to `std`: first values for id embeddings."""
    seen_SC = content_NC[seen_N].double()
    mean_C = seen_SC.mean(0)
    _, axes_CC = torch.linalg.eigh(torch.cov((seen_SC - mean_C).T, correction=0).reshape(len(mean_C), -1))
    axes_CW = axes_CC.flip(1)[:, :width]
    axes_CW = axes_CW * axes_CW.gather(0, axes_CW.abs().argmax(0, keepdim=True)).sign()  # one sign, whatever LAPACK
    start_NW = (content_NC.double() - mean_C) @ axes_CW
    scale = start_NW[seen_N].std().clamp(min=1e-12)
    return F.pad(start_NW / scale * std, (0, width - axes_CW.shape[1])).to(content_NC.dtype)
