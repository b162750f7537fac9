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

    def of_one_history(self, history_LM: Tensor, target_BM: Tensor, attend_1L: Tensor) -> Tensor:
        """`forward` of z = history + target, where all rows have the same history.

        The softmax ignores what all keys of a query have in common, and its weights sum to 1. So the target's key drops
        out, its value passes through unweighed, and the output map is applied to the history's values once for all
        rows: Wo (sum w (v + vt)) = sum w (Wo v) + Wo vt.
        """
        query_HLX, key_HLX, value_HLX = self._heads(F.linear(history_LM, self.project_in.weight, self.project_in.bias))
        query_target_HBX, _, value_target_HBX = self._heads(F.linear(target_BM, self.project_in.weight))
        score_HLL = query_HLX @ key_HLX.transpose(1, 2)
        score_BHL = (query_target_HBX @ key_HLX.transpose(1, 2)).transpose(0, 1)
        score_BLHL = (score_HLL[None] + score_BHL[:, :, None]).transpose(1, 2) / query_HLX.shape[2] ** 0.5
        weight_BLHL = torch.softmax(score_BLHL.masked_fill(~attend_1L, float("-inf")), -1)
        out_MHX = self.project_out.weight.view(history_LM.shape[1], self.heads, -1)
        value_XM = torch.einsum("hlx,mhx->hlm", value_HLX, out_MHX).flatten(0, 1)
        target_BM = target_BM + self.project_out(value_target_HBX.transpose(0, 1).flatten(1))
        mixed_BLM = weight_BLHL.flatten(2) @ value_XM
        return self._after_attention(mixed_BLM + history_LM + target_BM[:, None])

    def _heads(self, qkv_X3M: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = (
            part.reshape(part.shape[0], self.heads, -1).transpose(0, 1) for part in qkv_X3M.chunk(3, dim=-1)
        )
        return query, key, value

    def one_head(self, z_BLM: Tensor, attend_1L: Tensor) -> Tensor:
        """`forward` for a layer with one head, and masks that are the same in all rows: two maps instead of four.

        (Wq z + bq) (Wk z' + bk) and ((Wk^T Wq) z + Wk^T bq) z' differ by what all keys of a query have in common, and
        Wo (sum w (Wv z + bv)) = sum w (Wo Wv) z + Wo bv.
        """
        (query_MM, key_MM, value_MM), (query_M, _, value_M) = (
            part.chunk(3) for part in (self.project_in.weight, self.project_in.bias)
        )
        map_XM = torch.cat([key_MM.T @ query_MM, self.project_out.weight @ value_MM])
        bias_X = torch.cat([key_MM.T @ query_M, self.project_out(value_M)])
        query_BLM, value_BLM = F.linear(z_BLM, map_XM, bias_X).chunk(2, dim=-1)
        score_BLL = query_BLM @ z_BLM.transpose(1, 2) / z_BLM.shape[-1] ** 0.5
        weight_BLL = torch.softmax(score_BLL.masked_fill(~attend_1L[:, None], float("-inf")), -1)
        return self._after_attention(z_BLM + weight_BLL @ value_BLM)

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
        return self._after_attention(z_BLM + self.drop(self.project_out(mixed.transpose(1, 2).flatten(2))))

    def _after_attention(self, z_BLM: Tensor) -> Tensor:
        z_BLM = self.norm_attention(z_BLM)
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

    def of_one_history(self, history_LD: Tensor, target_BD: Tensor, real_1L: Tensor) -> Tensor:
        """`forward` for rows that all have this history."""
        read_1L, attend_1L = self._masks(real_1L)
        missing = self.model_width - history_LD.shape[1]
        history_LM, target_BM = F.pad(history_LD, (0, missing)), F.pad(target_BD, (missing, 0))
        if not self.config.target_concat:
            target_BM = torch.zeros_like(target_BD)
        if self.position is not None:
            history_LM = history_LM + newest_first(self.position, history_LD.shape[0])
        first, *later = self._layers()
        z_BLM = first.of_one_history(history_LM, target_BM, attend_1L)
        for layer in later:
            if layer.heads == 1:
                z_BLM = layer.one_head(z_BLM, attend_1L)
            else:
                z_BLM = layer(z_BLM, layer.project_in(z_BLM), attend_1L)
        return self._interest(z_BLM, read_1L)

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
