"""Reads rankers that earlier versions wrote: their files named tags and levels, where now any feature may stand."""

import json
from typing import Any

import torch
from torch import Tensor

from model.config import Feature, Vocabulary

# The beginnings of names that have changed. Version 1 had the first two, versions 1 and 2 the others.
_RENAMED = {
    "table.content_ND": "table.content_NC",
    "beside.": "target_attention.",
    "item_encoder.tag.": "item_encoder.features.0.",
    "item_encoder.likes.": "item_encoder.features.1.",
    "item_encoder.views.": "item_encoder.features.2.",
    "likes.": "row.0.",
    "views.": "row.1.",
}


def challenge_vocabulary(items: int, tags: int, levels: int, content: int, tag_width: int) -> Vocabulary:
    """What a file of version 1 or 2 counts."""
    item = (
        Feature("item_tags", tags, tag_width),
        *(Feature(name, levels, place=None) for name in ("likes_level", "views_level")),
    )
    return Vocabulary(items, content, item, tuple(Feature(name, levels) for name in ("likes_level", "views_level")))


def older_header(header: dict[str, str]) -> tuple[dict[str, Any], Vocabulary]:
    """The config and the vocabulary of a file of version 1 or 2."""
    config = json.loads(header["config"])
    config["row_features"] = config.pop("row_levels")
    return config, challenge_vocabulary(**json.loads(header["vocabulary"]), tag_width=int(header["tags"]))


def older_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    tags_NT, likes_N, views_N = (tensors.pop(f"table.{name}") for name in ("tags_NT", "likes_N", "views_N"))
    named = {_renamed(name): tensor for name, tensor in tensors.items()}
    named["table.codes_NX"] = torch.cat([tags_NT, likes_N[:, None], views_N[:, None]], dim=1)
    named["table.numbers_NX"] = torch.zeros(len(tags_NT), 1, device=tags_NT.device)
    return named


def _renamed(name: str) -> str:
    return next((new + name.removeprefix(old) for old, new in _RENAMED.items() if name.startswith(old)), name)
