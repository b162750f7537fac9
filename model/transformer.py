"""The interest transformer: each history item, joined with the target, attends to the others."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from model.config import ModelConfig
from model.dropout import Dropout, dropout


def rows(items_UX: Tensor, positions_BL: Tensor) -> Tensor:
    """The rows of `items_UX` at the given positions. An embedding lookup: its gradient is the fast scatter-add."""
    return F.embedding(positions_BL, items_UX)


def learned_positions(config: ModelConfig, width: int) -> nn.Embedding | None:
    if config.position == "none":
        return None
    position = nn.Embedding(config.history_length, width)
    nn.init.normal_(position.weight, std=0.02)
    return position


def newest_first(position: nn.Embedding, length: int) -> Tensor:
    """The rows of a history's positions, counted from its newest item: padding on the left then moves nothing."""
    return position.weight[:length].flip(0)


class TransformerLayer(nn.Module):
    """What `torch.nn.TransformerEncoderLayer` computes (post-norm, ReLU); the caller makes the first projection."""

    def __init__(self, width: int, heads: int, ffn_width: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"model.heads = {heads}: must divide the transformer's width {width}")
        self.heads, self.dropout = heads, dropout
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)
        self.widen = nn.Linear(width, ffn_width)
        self.narrow = nn.Linear(ffn_width, width)
        self.norm_attention = nn.LayerNorm(width)
        self.norm_ffn = nn.LayerNorm(width)
        self.drop = Dropout(dropout)

    def _split(self, qkv_BL3M: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = (
            part.reshape(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in qkv_BL3M.chunk(3, dim=-1)
        )
        return query, key, value

    def weights(self, qkv_BL3M: Tensor, attend_BL: Tensor) -> Tensor:
        """(B, heads, L queries, L keys): what `forward` weighs the values with, when nothing is dropped."""
        query, key, _ = self._split(qkv_BL3M)
        score = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
        return torch.softmax(score.masked_fill(~attend_BL[:, None, None, :], float("-inf")), -1)

    def forward(self, z_BLM: Tensor, qkv_BL3M: Tensor, attend_BL: Tensor) -> Tensor:
        query, key, value = self._split(qkv_BL3M)
        if self.training and self.dropout and z_BLM.device.type == "cpu":  # for the cheaper dropout
            mixed = dropout(self.weights(qkv_BL3M, attend_BL), self.dropout, True) @ value
        else:
            share = self.dropout if self.training else 0.0
            mixed = F.scaled_dot_product_attention(query, key, value, attend_BL[:, None, None, :], dropout_p=share)
        z_BLM = self.norm_attention(z_BLM + self.drop(self.project_out(mixed.transpose(1, 2).flatten(2))))
        hidden = self.narrow(self.drop(torch.relu(self.widen(z_BLM))))
        normed: Tensor = self.norm_ffn(z_BLM + self.drop(hidden))
        return normed


class InterestTransformer(nn.Module):
    """What a history says about a target: the newest K outputs and, through a linear map, the maximum of all."""

    def __init__(self, config: ModelConfig, item_width: int) -> None:
        super().__init__()
        self.config = config
        self.model_width = item_width * (2 if config.target_concat else 1)
        self.layers = nn.ModuleList(
            TransformerLayer(self.model_width, config.heads, config.ffn_dim, config.transformer_dropout)
            for _ in range(config.layers)
        )
        if config.max_pool:
            self.pool = nn.Linear(self.model_width, self.model_width)
        self.position = learned_positions(config, self.model_width)
        self.width = self.model_width * (config.last_k + (1 if config.max_pool else 0))

    def forward(self, items_UD: Tensor, history_BL: Tensor, target_BD: Tensor, real_BL: Tensor) -> Tensor:
        return self.read(rows(self.project_items(items_UD), history_BL), target_BD, real_BL)

    def project_items(self, items_UD: Tensor) -> Tensor:
        """[item, Wi item]: the part of the first layer that depends on the item only."""
        weight = next(self._layers()).project_in.weight[:, : items_UD.shape[1]]
        return torch.cat([items_UD, F.linear(items_UD, weight)], dim=1)

    def read(self, projected_BLX: Tensor, target_BD: Tensor, real_BL: Tensor) -> Tensor:
        """The interest, from histories of projected items."""
        read_BL, attend_BL = self._masks(real_BL)
        z_BLM, qkv_BL3M = self._first(projected_BLX, target_BD)
        for depth, layer in enumerate(self._layers()):
            z_BLM = layer(z_BLM, layer.project_in(z_BLM) if depth else qkv_BL3M, attend_BL)
        return self._interest(z_BLM, read_BL)

    @torch.no_grad()
    def attention(self, items_UD: Tensor, history_BL: Tensor, target_BD: Tensor, real_BL: Tensor) -> list[Tensor]:
        """Each layer's weights, (B, heads, L, L), for analysis; rows of padded queries mean nothing."""
        _, attend_BL = self._masks(real_BL)
        z_BLM, qkv_BL3M = self._first(rows(self.project_items(items_UD), history_BL), target_BD)
        found = []
        for depth, layer in enumerate(self._layers()):
            qkv_BL3M = layer.project_in(z_BLM) if depth else qkv_BL3M
            found.append(layer.weights(qkv_BL3M, attend_BL))
            z_BLM = layer(z_BLM, qkv_BL3M, attend_BL)
        return found

    def _layers(self) -> Iterator[TransformerLayer]:
        for layer in self.layers:
            assert isinstance(layer, TransformerLayer)
            yield layer

    def _masks(self, real_BL: Tensor) -> tuple[Tensor, Tensor]:
        """(positions read out, positions attended to); a row without any attends to the newest, lest softmax be NaN.

        With the published code's inverted mask that one is also read out: of a history that fills the width, only the
        newest item is seen.
        """
        right = self.config.mask == "right"
        kept_BL = real_BL if right else ~real_BL
        newest_L = torch.arange(real_BL.shape[1], device=real_BL.device) == real_BL.shape[1] - 1
        attend_BL = kept_BL | (~kept_BL.any(1, keepdim=True) & newest_L)
        return kept_BL if right else attend_BL, attend_BL

    def _first(self, projected_BLX: Tensor, target_BD: Tensor) -> tuple[Tensor, Tensor]:
        """[item; target] and its first projection, Wi item + Wt target."""
        project = next(self._layers()).project_in
        width = target_BD.shape[1]
        z_BLM, qkv_BL3M = projected_BLX[..., :width], projected_BLX[..., width:]
        if self.config.target_concat:
            z_BLM = torch.cat([z_BLM, target_BD[:, None].expand_as(z_BLM)], dim=-1)
            qkv_BL3M = qkv_BL3M + F.linear(target_BD, project.weight[:, width:])[:, None]
        offset_L3M: Tensor = project.bias
        if self.position is not None:
            position_LM = newest_first(self.position, projected_BLX.shape[1])
            z_BLM = z_BLM + position_LM
            offset_L3M = offset_L3M + F.linear(position_LM, project.weight)
        return z_BLM, qkv_BL3M + offset_L3M

    def _interest(self, z_BLM: Tensor, read_BL: Tensor) -> Tensor:
        unread_BL1 = ~read_BL[..., None]
        parts = []
        if self.config.last_k:
            newest_BKM = F.pad(z_BLM.masked_fill(unread_BL1, 0.0), (0, 0, self.config.last_k, 0))[
                :, -self.config.last_k :
            ]
            parts.append(newest_BKM.flatten(1))
        if self.config.max_pool:
            largest_BM = z_BLM.masked_fill(unread_BL1, torch.finfo(z_BLM.dtype).min).amax(1)
            parts.append(self.pool(largest_BM.masked_fill(unread_BL1.all(1), 0.0)))
        return torch.cat(parts, dim=1)
