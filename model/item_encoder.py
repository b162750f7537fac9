"""An item as one vector: its id, its features and its content."""

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from model.config import Feature, ModelConfig, Vocabulary
from model.content import ContentNormalisation, content_map, principal_start
from model.features import FeatureEmbeddings, embedding
from model.guidance import contrastive, relational
from model.items import ItemTable
from model.quantise import Quantiser, QuantiserReport, columns_of_levels
from model.similarity import LearnedMetric


class SemanticCodes(nn.Module):
    """Quantised content: each code of an item has an embedding of its own, and their sum stands for the content."""

    codes_NQ: Tensor

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        columns_of_levels(config.code_kind, config.code_levels, vocabulary.content)  # raises if they are too few
        self.kind, self.codebook_size = config.code_kind, config.codebook_size
        self.register_buffer("codes_NQ", torch.zeros(vocabulary.items, config.code_levels, dtype=torch.int64))
        # One table for all levels; code c of level q is row 1 + q * codebook_size + c, row 0 is the padding item.
        self.code = embedding(1 + config.code_levels * config.codebook_size, config.embedding_dim, config.embedding_std)

    def fit(self, content_NC: Tensor, seen_N: Tensor) -> QuantiserReport:
        seen_SC = content_NC[seen_N]
        levels = self.codes_NQ.shape[1]
        quantiser = Quantiser.fit(seen_SC, self.kind, levels, self.codebook_size)
        rows_NQ = quantiser.encode(content_NC) + 1 + self.codebook_size * torch.arange(levels, device=content_NC.device)
        rows_NQ[0] = 0
        self.codes_NQ.copy_(rows_NQ)
        return quantiser.report(seen_SC)

    def forward(self, ids_U: Tensor) -> Tensor:
        summed_UE: Tensor = self.code(self.codes_NQ[ids_U]).sum(1)
        return summed_UE


def _place(feature: Feature, config: ModelConfig) -> str:
    if not config.reads(feature):
        return "none"
    return config.item_levels if feature.place is None else feature.place


class EncodedItems(NamedTuple):
    """Items by position. `content_UC` is what similarities compare: the unit-length content, then its learned maps."""

    items_UD: Tensor
    content_UC: Tensor


class ItemEncoder(nn.Module):
    hidden_N: Tensor | None  # items whose id embedding training does not use

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary, table: ItemTable) -> None:
        super().__init__()
        if config.content and vocabulary.content == 0:
            raise ValueError(f"model.content = {config.content!r}: the items have no content; use an empty list")
        self.config = config
        size, std = config.embedding_dim, config.embedding_std
        self.id = embedding(vocabulary.items, size, std)
        self.register_buffer("hidden_N", None, persistent=False)
        places = [_place(feature, config) for feature in vocabulary.item]
        used = [feature for feature, place in zip(vocabulary.item, places, strict=True) if place != "none"]
        self.features = FeatureEmbeddings(vocabulary.item, used, std, size)
        self.places = [place for place in places if place != "none"]
        self.blocks = [size] * (1 + len(used))  # widths of the parts of an item's vector
        self.normalise = ContentNormalisation(config.content_norm, vocabulary.content)
        if "concat" in config.content:
            self.map, mapped = content_map(config.content_map, vocabulary.content, config)
            self.blocks.append(mapped)
        if "codes" in config.content:
            self.codes = SemanticCodes(config, vocabulary)
            self.blocks.append(size)
        if "align" in config.content:
            self.align = nn.Linear(vocabulary.content, size)
        if "metric" in config.content:
            self.metric = LearnedMetric(config, vocabulary.content)
        self.width = sum(self.blocks)
        self.quantiser_report: QuantiserReport | None = None
        if not table.content_NC.is_meta:
            self._fit(table)

    @torch.no_grad()
    def _fit(self, table: ItemTable) -> None:
        """Computes everything that depends on content before training, from the items seen in train."""
        self.normalise.fit(table.content_NC, table.seen_N)
        if not {"codes", "init"} & set(self.config.content):
            return
        if not bool(table.seen_N.any()):
            raise ValueError(
                "the item table marks no item as seen in train: codes and init have nothing to be fitted on"
            )
        content_NC = self.normalise(table.content_NC)
        if "codes" in self.config.content:
            self.quantiser_report = self.codes.fit(content_NC, table.seen_N)
        if "init" in self.config.content:
            self.id.weight.add_(
                principal_start(content_NC, table.seen_N, self.config.embedding_dim, self.config.init_std)
            )
            self.id.weight[0].zero_()

    def content(self, ids_U: Tensor, table: ItemTable) -> Tensor:
        """Normalised content, zero for the padding item whatever the normalisation makes of a zero row."""
        normalised_UC: Tensor = self.normalise(table.content_NC[ids_U])
        return normalised_UC * (ids_U != 0)[:, None]

    def hide_ids(self, hidden_N: Tensor) -> None:
        """From now on these items are without their id embedding."""
        self.hidden_N = hidden_N

    @torch.no_grad()
    def drop_hidden_ids(self) -> None:
        """The same, kept with the weights."""
        if self.hidden_N is not None:
            self.id.weight[self.hidden_N] = 0.0
            self.hidden_N = None

    def _ids(self, ids_U: Tensor) -> Tensor:
        id_UE: Tensor = self.id(ids_U)
        if self.hidden_N is not None:
            id_UE = id_UE * ~self.hidden_N[ids_U][:, None]
        if not self.training or not self.config.id_dropout:
            return id_UE
        # Not scaled up, as dropout would: an item has its id embedding whole, or has none.
        return id_UE * (torch.rand(len(ids_U), 1, device=ids_U.device) >= self.config.id_dropout)

    def forward(self, ids_U: Tensor, table: ItemTable) -> EncodedItems:
        parts = [self._ids(ids_U), *self.features(table.codes_NX[ids_U], table.numbers_NX[ids_U])]
        if "concat" in self.config.content:
            parts.append(self.map(self.content(ids_U, table)) * (ids_U != 0)[:, None])
        if "codes" in self.config.content:
            parts.append(self.codes(ids_U))
        return EncodedItems(torch.cat(parts, dim=1), self._compared(ids_U, table, parts[0][:, :0]))

    def _compared(self, ids_U: Tensor, table: ItemTable, nothing_U0: Tensor) -> Tensor:
        compared = [nothing_U0]
        if "similarity" in self.config.content:
            compared.append(F.normalize(self.content(ids_U, table), dim=-1))
        if "metric" in self.config.content:
            compared.append(self.metric(self.content(ids_U, table)))
        return torch.cat(compared, dim=1)

    def as_history(self, items_XD: Tensor) -> Tensor:
        """Encoded items as a history shows them: without the features that only the target has."""
        return self._without(items_XD, "target")

    def as_target(self, items_XD: Tensor) -> Tensor:
        return self._without(items_XD, "history")

    def _without(self, items_XD: Tensor, place: str) -> Tensor:
        """Zero for the features of that place alone: an item is encoded once, so its width is the same everywhere."""
        if place not in self.places:
            return items_XD
        size = self.config.embedding_dim
        id_XE, *features, rest = items_XD.tensor_split([size * n for n in range(1, 2 + len(self.places))], dim=1)
        kept = [
            torch.zeros_like(feature) if its_place == place else feature
            for feature, its_place in zip(features, self.places, strict=True)
        ]
        return torch.cat([id_XE, *kept, rest], dim=1)

    def guidance_losses(self, ids_U: Tensor, table: ItemTable, sample: int = 1024) -> dict[str, Tensor]:
        """The losses by which content guides the id embeddings, by the use of content, over at most `sample` of the
        items.
        """
        uses = {"align", "distil"} & set(self.config.content)
        if not uses:
            return {}
        ids_S = ids_U[ids_U != 0]
        ids_S = ids_S[torch.randperm(len(ids_S), device=ids_S.device)[:sample]]
        id_SE, content_SC = self.id(ids_S), self.content(ids_S, table)
        losses = {}
        if "align" in uses:
            losses["align"] = contrastive(id_SE, self.align(content_SC), self.config.align_temperature)
        if "distil" in uses:
            temperatures = self.config.distil_id_temperature, self.config.distil_content_temperature
            losses["distil"] = relational(id_SE, content_SC, *temperatures)
        return losses
