"""Small rankers and rows for tests. Embeddings start large here, so that what reaches the logit shows in it."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.config import ContentUse, ModelConfig, Vocabulary
from model.items import ItemTable
from model.older_files import challenge_vocabulary
from model.ranker import Ranker

LEVELS = 11
VOCABULARY = challenge_vocabulary(items=40, tags=12, levels=LEVELS, content=8, tag_width=3)
BASE = ModelConfig(
    embedding_dim=4,
    embedding_std=0.5,
    content_dim=8,
    history_length=100,
    ffn_dim=16,
    last_k=4,
    attention_widths=(8, 4),
    deep_widths=(16, 8),
    head_widths=(8,),
    cross_layers=2,
    cross_rank=3,
    code_levels=2,
    codebook_size=4,
    similarity_bins=5,
)
EVERY_USE: tuple[ContentUse, ...] = ("concat", "init", "align", "distil", "codes", "similarity", "metric")

# One name for each way a ranker can be built that the exactness tests must hold for.
VARIANTS: dict[str, ModelConfig] = {
    "paper": BASE,
    "two-heads": replace(BASE, heads=2),
    "positions": replace(BASE, position="learned"),
    "no-target-concat": replace(BASE, target_concat=False),
    "no-max-pool": replace(BASE, max_pool=False),
    "max-pool-only": replace(BASE, last_k=0),
    "din": replace(BASE, interest="din", cross="none", head_widths=()),
    "relu": replace(BASE, interest="relu"),
    "relu-positions": replace(BASE, interest="relu", position="learned", heads=2),
    "din-positions": replace(BASE, interest="din", position="learned"),
    "mean": replace(BASE, interest="mean"),
    "recency": replace(BASE, interest="recency", heads=3),
    "products": replace(BASE, interest="recency", heads=2, block_products=True, item_levels="target"),
    "metric": replace(BASE, content=("metric",), metric_heads=3, metric_dim=2),
    "transformer-and-din": replace(BASE, target_attention="din"),
    "transformer-and-relu": replace(BASE, target_attention="relu"),
    "low-rank": replace(BASE, cross="low-rank"),
    "item-levels": replace(BASE, item_levels="both", row_features=False),
    "history-levels": replace(BASE, item_levels="history", row_features=False),
    "target-levels": replace(BASE, item_levels="target", target_attention="din"),
    "no-content": replace(BASE, content=()),
    "every-use": replace(BASE, content=EVERY_USE, content_norm="standardise", content_map="gated-mlp"),
    "product-codes": replace(BASE, content=("codes",), code_kind="product"),
    "short": replace(BASE, history_length=7),
}


def item_table(vocabulary: Vocabulary = VOCABULARY, seed: int = 0) -> ItemTable:
    rng = np.random.default_rng(seed)
    tags, *levels = vocabulary.item
    tags_NT = rng.integers(0, tags.codes, (vocabulary.items, tags.width))
    content = rng.normal(size=(vocabulary.items, vocabulary.content))
    codes: list[np.ndarray[Any, Any]] = [
        tags_NT,
        *(rng.integers(1, level.codes, (vocabulary.items, 1)) for level in levels),
    ]
    blocks = [np.concatenate(codes, axis=1), content]
    for block in blocks:
        block[0] = 0
    return ItemTable.from_arrays(*blocks)


def ranker(config: ModelConfig = BASE, vocabulary: Vocabulary = VOCABULARY, seed: int = 0) -> Ranker:
    torch.manual_seed(seed)
    return Ranker(config, vocabulary, item_table(vocabulary)).eval()


def histories(lengths: list[int], width: int, seed: int = 0, items: int = VOCABULARY.items) -> Tensor:
    """One left-padded history of each length."""
    generator = torch.Generator().manual_seed(seed)
    history_BL = torch.randint(1, items, (len(lengths), width), generator=generator)
    age_L = torch.arange(width).flip(0)
    return torch.where(age_L < torch.tensor(lengths)[:, None], history_BL, 0)


def targets(rows: int, seed: int = 0, vocabulary: Vocabulary = VOCABULARY) -> tuple[Tensor, Tensor, Tensor]:
    """(item, codes, numbers) of each row."""
    generator = torch.Generator().manual_seed(seed + 1)
    item_B = torch.randint(1, vocabulary.items, (rows,), generator=generator)
    codes = [torch.randint(1, feature.codes, (rows,), generator=generator) for feature in vocabulary.row]
    return item_B, torch.stack(codes, dim=1), torch.zeros(rows, 0)
