"""The table of all items, in which a ranker looks up ids: what is known of an item before any training."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from model.checks import all_finite
from model.config import Vocabulary


class ItemTable(nn.Module):
    """Tags, frozen content and levels by item id. Row 0 is the padding item, all zero.

    `seen_N` marks the items of the train split: statistics and codebooks are fitted on those alone.
    """

    tags_NT: Tensor
    content_NC: Tensor
    likes_N: Tensor
    views_N: Tensor
    seen_N: Tensor

    def __init__(self, tags_NT: Tensor, content_NC: Tensor, likes_N: Tensor, views_N: Tensor, seen_N: Tensor) -> None:
        super().__init__()
        self.register_buffer("tags_NT", tags_NT)
        self.register_buffer("content_NC", content_NC)
        self.register_buffer("likes_N", likes_N)
        self.register_buffer("views_N", views_N)
        self.register_buffer("seen_N", seen_N)

    @classmethod
    def from_arrays(
        cls,
        tags: Sequence[Sequence[int]] | np.ndarray[Any, Any],
        content: np.ndarray[Any, Any],
        likes: Sequence[int] | np.ndarray[Any, Any],
        views: Sequence[int] | np.ndarray[Any, Any],
        seen: Sequence[bool] | np.ndarray[Any, Any] | None = None,
    ) -> Self:
        """Without `seen`, every item but the padding counts as seen in train.

        Arrays of the right type that may be written to are used as they are, so that a mapped file stays one.
        """
        columns: dict[str, np.ndarray[Any, Any]] = {
            "tags": np.require(tags, np.int64, ("C", "W")),
            "content": np.require(content, np.float32, ("C", "W")),
            "likes": np.require(likes, np.int64, ("C", "W")),
            "views": np.require(views, np.int64, ("C", "W")),
            "seen": np.ones(len(likes), bool) if seen is None else np.require(seen, np.bool_, ("C", "W")),
        }
        if seen is None:
            columns["seen"][0] = False
        for name, column in columns.items():
            if column.ndim != (2 if name in ("tags", "content") else 1) or len(column) != len(columns["likes"]):
                raise ValueError(f"item table: {name} has the shape {column.shape}: one row for each of the same items")
            if column[0].any():
                raise ValueError(f"item table: {name}[0] = {column[0]}: row 0 is the padding item and must be zero")
        if not all_finite(columns["content"]):
            raise ValueError("item table: content holds NaN or infinity; embed those items again")
        return cls(*(torch.from_numpy(column) for column in columns.values()))

    @classmethod
    def blank(cls, vocabulary: Vocabulary, tags: int) -> Self:
        """A table of the right shape for weights yet to be loaded, on the current default device."""
        return cls(
            torch.zeros(vocabulary.items, tags, dtype=torch.int64),
            torch.zeros(vocabulary.items, vocabulary.content),
            torch.zeros(vocabulary.items, dtype=torch.int64),
            torch.zeros(vocabulary.items, dtype=torch.int64),
            torch.zeros(vocabulary.items, dtype=torch.bool),
        )

    def check(self, vocabulary: Vocabulary) -> None:
        """Raises if an id of the table would fall outside its embedding."""
        rows, width = self.content_NC.shape
        if rows != vocabulary.items:
            raise ValueError(f"vocabulary.items = {vocabulary.items}: the item table has {rows} rows")
        if width != vocabulary.content:
            raise ValueError(f"vocabulary.content = {vocabulary.content}: the item table's content has {width} columns")
        if self.content_NC.is_meta:
            return
        bounds = (
            ("tags", self.tags_NT, vocabulary.tags),
            ("levels", self.likes_N, vocabulary.levels),
            ("levels", self.views_N, vocabulary.levels),
        )
        for field, column, size in bounds:
            if column.numel() and not 0 <= int(column.min()) <= int(column.max()) < size:
                raise ValueError(f"vocabulary.{field} = {size}: the item table holds {int(column.max())}")


def distinct_items(history_BL: Tensor, item_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(ids_U, history_BL, item_B) with the latter two as positions in ids_U, where position 0 is always the padding."""
    padding = history_BL.new_zeros(1)
    ids_U, positions = torch.unique(torch.cat([padding, history_BL.flatten(), item_B]), return_inverse=True)
    history = positions[1 : 1 + history_BL.numel()].view_as(history_BL)
    return ids_U, history, positions[1 + history_BL.numel() :]
