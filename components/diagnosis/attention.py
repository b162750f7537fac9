"""What a trained ranker looks at in a history, as figures over many rows.

A transformer has a distribution over the history for each layer, head and query. The other interests have one weight an
item that need not sum to one nor be positive: here each counts by its share of their absolute sum.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.batches.loader import feature_tensors
from components.batches.rows import RowStore, gather_history
from components.dataset.layout import TAGS
from model.config import code_columns
from model.ranker import Events, Ranker
from model.transformer import InterestTransformer

Array = npt.NDArray[Any]
Json = dict[str, Any]
ROWS_A_BATCH = 128  # at 100 items a layer's map of a batch is 5 MB a head
OF_A_HEAD = ("entropy_share", "one_position", "largest_on_padding")  # figures that are kept for each head
LEAST = 2  # items: a single one leaves nothing to choose


@dataclass(frozen=True)
class Histories:
    """A batch of rows as the ranker reads them."""

    history_BL: Tensor
    item_B: Tensor
    real_BL: Tensor
    same_BL: Tensor  # real items that share a tag with the row's target
    events: Events | None


def weight_names(ranker: Ranker) -> list[tuple[str, str]]:
    """(kind, name) of each set of weights that `Ranker.attention` returns, in its order."""
    names: list[tuple[str, str]] = []
    modules = (ranker.config.interest, ranker.interest), (ranker.config.target_attention, ranker.target_attention)
    for kind, module in modules:
        if isinstance(module, InterestTransformer):
            names += [(kind, f"layer {depth + 1}") for depth in range(ranker.config.layers)]
        elif module is not None:
            names.append((kind, kind))
    return names


def chosen_rows(rows: RowStore, limit: int, least: int = LEAST) -> Array:
    """At most `limit` row numbers, evenly over those whose history has `least` items or more."""
    eligible = np.flatnonzero(rows.lengths >= least)
    if limit < 1 or not len(eligible):
        return eligible[:0]
    return eligible[np.linspace(0, len(eligible) - 1, min(limit, len(eligible))).round().astype(np.int64)]


def read(ranker: Ranker, rows: RowStore, numbers: Array) -> Histories:
    """Rows one position wider than their longest history, so that the weight on padding can be measured."""
    device = next(ranker.parameters()).device
    width = ranker.config.history_length
    if ranker.config.mask == "right":  # the inverted one reads all the padding there is
        width = min(width, int(rows.lengths[numbers].max(initial=0)) + 1)
    history_BL = torch.from_numpy(rows.history(width, numbers).astype(np.int64)).to(device)
    item_B = torch.from_numpy(rows.item[numbers].astype(np.int64)).to(device)
    tags_NT = ranker.table.codes_NX[:, code_columns(ranker.vocabulary.item)[TAGS]]
    tags_BLT, tags_BT = tags_NT[history_BL], tags_NT[item_B]
    alike_BLTT = (tags_BLT[..., None] == tags_BT[:, None, None, :]) & (tags_BLT[..., None] != 0)
    real_BL = history_BL != 0
    events = None
    if rows.events is not None:
        codes_BLX, numbers_BLX = feature_tensors(gather_history(rows.events, rows.records[numbers], width))
        events = codes_BLX.to(device), numbers_BLX.to(device)
    return Histories(history_BL, item_B, real_BL, alike_BLTT.any(-1).any(-1) & real_BL, events)


def distributions(weights: Tensor, real_BL: Tensor) -> tuple[Tensor, Tensor]:
    """(shares (B, heads, queries, L), which queries say something (B, heads, queries))."""
    if weights.dim() == 4:
        return weights, real_BL[:, None].expand(weights.shape[:3])
    size_BHL = weights.abs().view(len(weights), -1, weights.shape[-1])
    total_BH = size_BHL.sum(-1)
    shares_BHL = size_BHL / torch.where(total_BH > 0, total_BH, 1.0)[..., None]
    return shares_BHL[:, :, None], (total_BH > 0)[..., None]


def measure(shares_BHAL: Tensor, valid_BHA: Tensor, batch: Histories) -> dict[str, Tensor]:
    """One number for each row, the mean over its heads and real queries; NaN where it is not defined."""
    queries_B = valid_BHA.sum((1, 2)).double()
    shares_BHAL = shares_BHAL.double() * valid_BHA[..., None]
    attention_BL = shares_BHAL.sum((1, 2)) / queries_B[:, None]
    length_B = batch.real_BL.sum(1)
    # With the inverted mask, padding also gets weight, and the largest possible entropy is that of equal weights on all
    # positions.
    keys_B = (batch.real_BL | (attention_BL > 0)).sum(1)
    entropy_B = -torch.xlogy(shares_BHAL, shares_BHAL).sum((1, 2, 3)) / queries_B / np.log(2)
    age_BL = torch.arange(batch.real_BL.shape[1] - 1, -1, -1, device=length_B.device).expand_as(batch.real_BL)
    quarter_B = (length_B + 3) // 4
    newest_BL = age_BL < quarter_B[:, None]
    oldest_BL = batch.real_BL & (age_BL >= (length_B - quarter_B)[:, None])
    same_B = batch.same_BL.sum(1)
    mixed_B = (same_B > 0) & (same_B < length_B)  # elsewhere there is nothing to prefer
    nothing = torch.full_like(entropy_B, torch.nan)
    on_padding_BHAL = shares_BHAL.masked_fill(batch.real_BL[:, None, None], 0.0)
    return {
        "entropy_bits": entropy_B,
        "entropy_share": entropy_B / torch.log2(keys_B.double()),
        "same_tag_attention": torch.where(mixed_B, (attention_BL * batch.same_BL).sum(1), nothing),
        "same_tag_items": torch.where(mixed_B, same_B / length_B, nothing),
        "newest_quarter": (attention_BL * newest_BL).sum(1),
        "oldest_quarter": (attention_BL * oldest_BL).sum(1),
        "quarter_items": quarter_B / length_B,
        "one_position": attention_BL.amax(1),
        "on_padding": on_padding_BHAL.sum((1, 2, 3)) / queries_B,
        "largest_on_padding": on_padding_BHAL.amax((1, 2, 3)),
    }


def attention_figures(ranker: Ranker, rows: RowStore, chosen: Array) -> Json | None:
    """Of each layer, and of each of its heads; None for a ranker without weights on its history, or without rows."""
    names = weight_names(ranker)
    if not names or not len(chosen):
        return None
    was_training = ranker.training
    ranker.eval()
    try:
        layers = _layers(ranker, rows, chosen, names)
    finally:
        ranker.train(was_training)
    lengths = np.minimum(rows.lengths[chosen], ranker.config.history_length)
    return {
        "rows": len(chosen),
        "mean_items": float(lengths.mean()),
        "same_tag_rows": layers[0]["same_tag_rows"],
        "largest_on_padding": max((layer["largest_on_padding"] or 0.0 for layer in layers), default=0.0),
        "layers": layers,
    }


def _layers(ranker: Ranker, rows: RowStore, chosen: Array, names: list[tuple[str, str]]) -> list[Json]:
    whole: list[dict[str, list[Array]]] = [{} for _ in names]
    by_head: list[dict[int, dict[str, list[Array]]]] = [{} for _ in names]
    for batch in _batches(ranker, rows, chosen):
        for layer, weights in enumerate(ranker.attention(batch.history_BL, batch.item_B, batch.events)):
            shares_BHAL, valid_BHA = distributions(weights, batch.real_BL)
            _append(whole[layer], measure(shares_BHAL, valid_BHA, batch))
            for head in range(shares_BHAL.shape[1]):
                own = measure(shares_BHAL[:, [head]], valid_BHA[:, [head]], batch)
                _append(by_head[layer].setdefault(head, {}), {name: own[name] for name in OF_A_HEAD})
    layers = []
    for (kind, name), figures, heads in zip(names, whole, by_head, strict=True):
        means = _means(figures)
        means["same_tag_rows"] = int((~np.isnan(np.concatenate(figures["same_tag_attention"]))).sum())
        layers.append({"kind": kind, "name": name, **means, "heads": [_means(heads[head]) for head in sorted(heads)]})
    return layers


def _append(figures: dict[str, list[Array]], found: dict[str, Tensor]) -> None:
    for name, values in found.items():
        figures.setdefault(name, []).append(values.cpu().numpy())


def _means(figures: dict[str, list[Array]]) -> Json:
    """Over the rows that define each; the largest weight on a padded key is the largest anywhere."""
    means: Json = {}
    for name, parts in figures.items():
        values = np.concatenate(parts)
        defined = values[~np.isnan(values)]
        combine = np.max if name == "largest_on_padding" else np.mean
        means[name] = float(combine(defined)) if len(defined) else None
    return means


def _batches(ranker: Ranker, rows: RowStore, chosen: Array) -> Iterator[Histories]:
    """Rows of like length together: a layer's map grows with the square of a batch's longest history."""
    ascending = chosen[np.argsort(rows.lengths[chosen], kind="stable")]
    for first in range(0, len(ascending), ROWS_A_BATCH):
        yield read(ranker, rows, ascending[first : first + ROWS_A_BATCH])
