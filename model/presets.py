"""Rankers by name, each at the challenge's size and at one that a laptop's processor trains in minutes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from model.checks import one_of
from model.config import ModelConfig

Size = Literal["challenge", "small"]

_SMALL: dict[str, Any] = {
    "embedding_dim": 16,
    "content_dim": 16,
    "history_length": 20,
    "ffn_dim": 64,
    "last_k": 4,
    "attention_widths": (128, 64),
    "deep_widths": (256, 128, 64),
}


def _sized(config: ModelConfig, size: Size) -> ModelConfig:
    one_of("size", size, ("challenge", "small"))
    return config if size == "challenge" else replace(config, **_SMALL)


def paper(size: Size = "challenge") -> ModelConfig:
    """The 1st-place solution as its paper describes it: the padding mask is right."""
    return _sized(ModelConfig(), size)


def published(size: Size = "challenge") -> ModelConfig:
    """The same with the released code's inverted padding mask: it reads the padding and ignores the history."""
    return replace(paper(size), mask="inverted")


def din(size: Size = "challenge") -> ModelConfig:
    """The organisers' baseline: target attention with Dice, sum pooling, and a deep network only."""
    return replace(paper(size), interest="din", cross="none", head_widths=())


def best(size: Size = "challenge") -> ModelConfig:
    """Instead of the transformer it sums the history with learned weights by age. It compares the history with the
    target in three ways: by cosines of the content, by cosines in metrics that are learned from the clicks, and by
    products of the sums with the target. They matter most for rare and new items, whose ids could not be learned.
    """
    return replace(
        paper(size), interest="recency", heads=4, content=("concat", "similarity", "metric"), block_products=True
    )


PRESETS: dict[str, Callable[[Size], ModelConfig]] = {"paper": paper, "published": published, "din": din, "best": best}
