"""The ranker: item encoder, interest, cross network and deep network, head. It gives one logit for each row."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from model.calibration import Calibration, LogitMap
from model.config import Interest, ModelConfig, TargetAttention, Vocabulary
from model.features import FeatureEmbeddings
from model.interaction import CrossNetwork, DeepNetwork, LowRankCrossNetwork
from model.item_encoder import EncodedItems, ItemEncoder
from model.items import ItemTable
from model.pooling import MeanPool, RecencyPool
from model.similarity import MetricMatch, SimilarityHistogram, block_products
from model.staircase import Staircase
from model.target_attention import DinAttention, ReluAttention
from model.transformer import InterestTransformer, rows

Events = tuple[Tensor, Tensor]  # codes_BLX and numbers_BLX of the events of a history
InterestModule = InterestTransformer | DinAttention | ReluAttention | RecencyPool | MeanPool


def interest_module(kind: Interest | TargetAttention, config: ModelConfig, item_width: int) -> InterestModule | None:
    if kind == "transformer":
        return InterestTransformer(config, item_width)
    if kind == "din":
        return DinAttention(config, item_width)
    if kind == "relu":
        return ReluAttention(config, item_width)
    if kind == "recency":
        return RecencyPool(config, item_width)
    if kind == "mean":
        return MeanPool(item_width)
    return None


class Ranker(nn.Module):
    """Call `torch.manual_seed` before construction: the first weights come from torch's generator."""

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary, table: ItemTable) -> None:
        super().__init__()
        table.check(vocabulary)
        self.config, self.vocabulary = config, vocabulary
        self.table = table
        self.calibration: Calibration | None = None
        self.item_encoder = ItemEncoder(config, vocabulary, table)
        item_width = self.item_encoder.width
        self.interest = interest_module(config.interest, config, item_width)
        self.target_attention = interest_module(config.target_attention, config, item_width)
        width = item_width + sum(
            module.width for module in (self.interest, self.target_attention) if module is not None
        )
        std = config.embedding_std
        of_row = [feature for feature in vocabulary.row if config.row_features and config.reads(feature)]
        self.row = FeatureEmbeddings(vocabulary.row, of_row, std, config.embedding_dim)
        of_event = [feature for feature in vocabulary.event if config.reads(feature)]
        self.event = FeatureEmbeddings(vocabulary.event, of_event, std, item_width)
        width += len(self.row) * config.embedding_dim
        if "similarity" in config.content:
            self.similarity = SimilarityHistogram(config.similarity_bins)
            width += config.similarity_bins
        if "metric" in config.content:
            self.metric = MetricMatch(config)
            width += self.metric.width
        if config.block_products:
            width += config.heads * len(self.item_encoder.blocks)
        self._build_interaction(width)
        self.apply(_xavier)

    def _interests(self) -> list[InterestModule]:
        return [module for module in (self.interest, self.target_attention) if module is not None]

    def _build_interaction(self, width: int) -> None:
        config = self.config
        self.cross: nn.Module | None = None
        if config.cross == "full":
            self.cross = CrossNetwork(width, config.cross_layers)
        elif config.cross == "low-rank":
            self.cross = LowRankCrossNetwork(width, config.cross_layers, config.cross_rank)
        self.features = width
        self.deep = DeepNetwork(width, config.deep_widths, config.deep_dropout)
        crossed = width if self.cross is not None else 0
        hidden = DeepNetwork(crossed + self.deep.width, config.head_widths, 0.0)
        self.head = nn.Sequential(hidden, nn.Linear(hidden.width, 1))

    def forward(
        self, history_BL: Tensor, item_B: Tensor, codes_BX: Tensor, numbers_BX: Tensor, events: Events | None = None
    ) -> Tensor:
        """Logits of the rows. Histories are oldest first, padded with 0 on the left, of any length.

        `codes_BX` and `numbers_BX` hold the features of the rows, in the columns that `code_columns` and
        `number_columns` give the features in `vocabulary.row`. `events` holds those of the history's events, padded
        with zeros as the history is; without it nothing is known of the events.
        """
        return self.score_rows(self._fit_length(history_BL), item_B, codes_BX, numbers_BX, self._fit_events(events))

    def score_rows(
        self, history_BL: Tensor, item_B: Tensor, codes_BX: Tensor, numbers_BX: Tensor, events: Events | None = None
    ) -> Tensor:
        """`forward` for histories that are no longer than the ranker reads; it neither cuts nor pads them."""
        encoded, position_BL, position_B = self._encode_rows(history_BL, item_B)
        return self._score(encoded, position_BL, history_BL != 0, position_B, codes_BX, numbers_BX, events)

    def _encode_rows(self, history_BL: Tensor, item_B: Tensor) -> tuple[EncodedItems, Tensor, Tensor]:
        """All items of the rows, encoded one by one, and the positions of the histories and of the targets in them."""
        encoded = self.encode(torch.cat([history_BL.flatten(), item_B]))
        cells = history_BL.numel()
        position_BL = torch.arange(cells, device=item_B.device).view_as(history_BL)
        return encoded, position_BL, torch.arange(item_B.shape[0], device=item_B.device) + cells

    def encode(self, ids_U: Tensor) -> EncodedItems:
        """Items as vectors, to be shared by all rows that hold them; `model.items.distinct_items` finds them."""
        encoded: EncodedItems = self.item_encoder(ids_U, self.table)
        return encoded

    def score_encoded(
        self,
        encoded: EncodedItems,
        history_BL: Tensor,
        item_B: Tensor,
        codes_BX: Tensor,
        numbers_BX: Tensor,
        events: Events | None = None,
    ) -> Tensor:
        """`forward` with histories and targets as positions in `encoded`, where position 0 is the padding."""
        history_BL = self._fit_length(history_BL)
        fitted = self._fit_events(events)
        return self._score(encoded, history_BL, history_BL != 0, item_B, codes_BX, numbers_BX, fitted)

    def score_groups(
        self,
        encoded: EncodedItems,
        histories: Sequence[Tensor],
        item_B: Tensor,
        codes_BX: Tensor,
        numbers_BX: Tensor,
        stairs: Staircase | None = None,
        events: Sequence[Events] | None = None,
    ) -> Tensor:
        """`score_encoded` of rows in consecutive groups, each history as wide as its group needs.

        `stairs` says where the features of short histories are zero, if the caller has sorted the rows by length.
        """
        if len(histories) == 1 and stairs is None:
            return self.score_encoded(
                encoded, histories[0], item_B, codes_BX, numbers_BX, None if events is None else events[0]
            )
        fitted = [self._fit_length(history) for history in histories]
        sizes = [len(history) for history in histories]
        # Gathered once for all groups: each lookup's gradient is as large as the list of items.
        cells = torch.cat([history.flatten() for history in fitted])
        cell_sizes = [history.numel() for history in fitted]
        vectors_UD, vector_P = self._with_events(
            encoded, cells, _joined(self._fit_events(group) for group in events or ())
        )
        gathered = torch.split(rows(self._projected(vectors_UD), vector_P), cell_sizes)
        content = torch.split(rows(encoded.content_UC, cells), cell_sizes)
        columns = (self._targets(encoded, item_B), rows(encoded.content_UC, item_B), codes_BX, numbers_BX)
        by_group = zip(*(torch.split(column, sizes) for column in columns), strict=True)
        features = []
        for history, items_PX, content_PC, (target_BD, *row) in zip(fitted, gathered, content, by_group, strict=True):
            interests = self._group_interests(items_PX.view(*history.shape, -1), target_BD, history != 0)
            features.append(
                self._features(interests, history != 0, content_PC.view(*history.shape, -1), target_BD, *row)
            )
        return self._interact(torch.cat(features), stairs)

    def _targets(self, encoded: EncodedItems, item_B: Tensor) -> Tensor:
        return self.item_encoder.as_target(rows(encoded.items_UD, item_B))

    def _with_events(self, encoded: EncodedItems, history_X: Tensor, events: Events | None) -> tuple[Tensor, Tensor]:
        """(vectors, positions of the history in them): the items alone, or with the features of each event added."""
        items_UD = self.item_encoder.as_history(encoded.items_UD)
        if events is None or not len(self.event):
            return items_UD, history_X
        event_PD = torch.stack(self.event(*(block.flatten(0, -2) for block in events))).sum(0)
        own_X = torch.arange(history_X.numel(), device=history_X.device).view_as(history_X)
        return rows(items_UD, history_X.flatten()) + event_PD, own_X

    def _projected(self, items_UD: Tensor) -> Tensor:
        """What the interest needs of an item, the item itself first."""
        return self.interest.project_items(items_UD) if isinstance(self.interest, InterestTransformer) else items_UD

    def _group_interests(self, items_BLX: Tensor, target_BD: Tensor, real_BL: Tensor) -> list[Tensor]:
        interests = []
        own_BL = torch.arange(real_BL.numel(), device=real_BL.device).view(real_BL.shape)
        for module in self._interests():
            if isinstance(module, InterestTransformer):
                interests.append(module.read(items_BLX, target_BD, real_BL))
            else:
                items_PD = items_BLX[..., : target_BD.shape[1]].flatten(0, 1)
                interests.append(module(items_PD, own_BL, target_BD, real_BL))
        return interests

    @torch.no_grad()
    def attention(self, history_BL: Tensor, item_B: Tensor, events: Events | None = None) -> list[Tensor]:
        """Weights for analysis: (B, heads, L, L) a layer of a transformer, (B, [heads,] L) of a target attention."""
        history_BL = self._fit_length(history_BL)
        encoded, position_BL, position_B = self._encode_rows(history_BL, item_B)
        vectors_UD, vector_BL = self._with_events(encoded, position_BL, self._fit_events(events))
        target_BD = self._targets(encoded, position_B)
        found: list[Tensor] = []
        for module in self._interests():
            weights = module.attention(vectors_UD, vector_BL, target_BD, history_BL != 0)
            found += weights if isinstance(weights, list) else [weights]
        return found

    def auxiliary_losses(self, ids_U: Tensor) -> dict[str, Tensor]:
        """By name: `align` and `distil`, where `model.content` holds them."""
        return self.item_encoder.guidance_losses(ids_U, self.table)

    def _fit_events(self, events: Events | None) -> Events | None:
        return None if events is None else (self._fit_length(events[0]), self._fit_length(events[1]))

    def _fit_length(self, history_BL: Tensor) -> Tensor:
        """The newest `history_length` entries, without restoring padding that the caller left out.

        In two cases the width is exactly that: with the published code's inverted mask, which reads the padding, and in
        an exported program, whose graph may not depend on which of the two lengths is larger.
        """
        length = self.config.history_length
        if self.config.mask == "inverted" or torch.compiler.is_exporting():
            return F.pad(history_BL, (*(0, 0) * (history_BL.dim() - 2), length, 0))[:, -length:]
        return history_BL[:, -length:]

    def _score(
        self,
        encoded: EncodedItems,
        history_BL: Tensor,
        real_BL: Tensor,
        item_B: Tensor,
        codes_BX: Tensor,
        numbers_BX: Tensor,
        events: Events | None = None,
    ) -> Tensor:
        content_UC, target_BD = encoded.content_UC, self._targets(encoded, item_B)
        vectors_UD, vector_BL = self._with_events(encoded, history_BL, events)
        interests = [module(vectors_UD, vector_BL, target_BD, real_BL) for module in self._interests()]
        content = (rows(content_UC, history_BL), target_BD, rows(content_UC, item_B))
        return self._interact(self._features(interests, real_BL, *content, codes_BX, numbers_BX))

    def _features(
        self,
        interests: list[Tensor],
        real_BL: Tensor,
        content_BLC: Tensor,
        target_BD: Tensor,
        target_BC: Tensor,
        codes_BX: Tensor,
        numbers_BX: Tensor,
    ) -> Tensor:
        """The interest comes first: what a short history leaves zero then leads, see `empty_blocks`."""
        parts = [*interests, *self.row(codes_BX, numbers_BX), target_BD]
        if self.config.block_products:
            parts.append(block_products(interests[0], target_BD, self.item_encoder.blocks))
        return torch.cat([*parts, *self.similarities(content_BLC, target_BC, real_BL)], dim=1)

    def similarities(self, content_BLC: Tensor, target_BC: Tensor, real_BL: Tensor) -> list[Tensor]:
        found = []
        fixed = self.vocabulary.content if "similarity" in self.config.content else 0
        if fixed:
            found.append(self.similarity(content_BLC[..., :fixed], target_BC[:, :fixed], real_BL))
        if "metric" in self.config.content:
            found.append(self.metric(content_BLC[..., fixed:], target_BC[:, fixed:], real_BL))
        return found

    def empty_blocks(self) -> tuple[int, int]:
        """(K, width): a history of h < K items leaves the first (K - h) x width features zero."""
        if not isinstance(self.interest, InterestTransformer) or self.config.mask != "right":
            return 0, 0
        return self.config.last_k, self.interest.model_width

    def _interact(self, features_BF: Tensor, stairs: Staircase | None = None) -> Tensor:
        if stairs is not None and isinstance(self.cross, CrossNetwork) and self.config.deep_widths:
            joined = [
                self.cross.forward_staircase(features_BF, stairs),
                self.deep.forward_staircase(features_BF, stairs),
            ]
        else:
            joined = [self.deep(features_BF)]
            if self.cross is not None:
                joined = [self.cross(features_BF), *joined]
        logits_B: Tensor = self.head(torch.cat(joined, dim=1))[:, 0]
        return logits_B if self.calibration is None else self.calibration(logits_B)

    def calibrate(self, found: LogitMap) -> None:
        """From now on all logits go through this map."""
        self.calibration = Calibration(found).to(self.table.content_NC.device)


def _joined(groups: Iterable[Events | None]) -> Events | None:
    """The events of several groups of histories, one after the other."""
    there = [group for group in groups if group is not None]
    if not there:
        return None
    codes_PX, numbers_PX = (torch.cat([block.flatten(0, 1) for block in blocks]) for blocks in zip(*there, strict=True))
    return codes_PX, numbers_PX


def _xavier(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
