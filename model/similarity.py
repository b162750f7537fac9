"""How like the target a history is: as fixed cosines of the content, in a learned metric, and of the pooled history."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from model.config import ModelConfig
from model.pooling import ever_longer


class SimilarityHistogram(nn.Module):
    """How much of a history lies at each cosine to the target, as log(1 + weight) for each bin.

    An item shares its weight between the two nearest bin centres: no rounding error can move it by a whole bin.
    """

    centres_K: Tensor

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.register_buffer("centres_K", torch.linspace(-1.0, 1.0, bins))
        self.distance = 2.0 / (bins - 1)

    def forward(self, history_BLC: Tensor, target_BC: Tensor, real_BL: Tensor) -> Tensor:
        """Both contents have unit length."""
        cosine_BL = torch.einsum("blc,bc->bl", history_BLC, target_BC).clamp(-1.0, 1.0)
        share_BLK = (1.0 - (cosine_BL[..., None] - self.centres_K).abs() / self.distance).clamp(min=0.0)
        return torch.log1p((share_BLK * real_BL[..., None]).sum(1))


class LearnedMetric(nn.Module):
    """Content seen through several learned maps, each of unit length, so that a product of two is their cosine.

    Which traits of a cover or a title make two items alike for those who click is learned from the clicks. The maps are
    shared by all items, so they hold for an item that training never saw.
    """

    def __init__(self, config: ModelConfig, content_width: int) -> None:
        super().__init__()
        self.shape = (config.metric_heads, config.metric_dim)
        self.project = nn.Linear(content_width, config.metric_heads * config.metric_dim, bias=False)

    @property
    def width(self) -> int:
        return self.shape[0] * self.shape[1]

    def forward(self, content_UC: Tensor) -> Tensor:
        return F.normalize(self.project(content_UC).view(-1, *self.shape), dim=-1).flatten(1)


class MetricMatch(nn.Module):
    """Of the cosines between a history and the target, in each learned metric: the mean, weighted by age, and the
    largest, which is at least 0. The weights start as decays of ever longer reach. An empty history gives zeros.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.shape = (config.metric_heads, config.metric_dim)
        age_L = torch.arange(config.history_length)
        reach_H = ever_longer(config.metric_heads, config.history_length)
        self.log_weight_HL = nn.Parameter(-age_L / reach_H[:, None])
        self.width = 2 * config.metric_heads

    def forward(self, history_BLW: Tensor, target_BW: Tensor, real_BL: Tensor) -> Tensor:
        history_BLHM = history_BLW.view(*history_BLW.shape[:2], *self.shape)
        target_BHM = target_BW.view(-1, *self.shape)
        cosine_BHL = torch.einsum("blhm,bhm->bhl", history_BLHM, target_BHM) * real_BL[:, None]
        # By index, not by slice: an exported program would refuse a history as long as the slice's whole source.
        age_L = torch.arange(real_BL.shape[1] - 1, -1, -1, device=real_BL.device)
        weight_BHL = self.log_weight_HL[:, age_L].exp() * real_BL[:, None]
        mean_BH = (weight_BHL * cosine_BHL).sum(-1) / weight_BHL.sum(-1).clamp(min=1e-12)
        largest_BH = F.pad(cosine_BHL, (1, 0)).amax(-1)
        return torch.cat([mean_BH, largest_BH], dim=1)


def block_products(pooled_BX: Tensor, target_BD: Tensor, blocks: list[int]) -> Tensor:
    """⟨pooled history, target⟩ for each sum of the history and each block of an item's vector: id, tags, content, …"""
    width = target_BD.shape[1]
    products_BHD = pooled_BX.view(-1, pooled_BX.shape[1] // width, width) * target_BD[:, None]
    return torch.stack([block.sum(-1) for block in torch.split(products_BHD, blocks, dim=-1)], dim=-1).flatten(1)
