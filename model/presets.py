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
    """The organisers' baseline: target attention with Dice, sum pooling, a deep network and nothing beside it."""
    return replace(paper(size), interest="din", cross="none", head_widths=())


def best(size: Size = "challenge") -> ModelConfig:
    """In place of the transformer: sums of the history under learned weights of age, and how like the target it is.

    The sums are what won on MovieLens. The similarity changed nothing there and much on the sample, whose items are
    too rarely seen for their ids to be learned: it is what carries over to an item that is new.
    """
    return replace(paper(size), interest="recency", heads=4, content=("concat", "similarity"))


PRESETS: dict[str, Callable[[Size], ModelConfig]] = {"paper": paper, "published": published, "din": din, "best": best}
