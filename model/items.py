"""The table of all items, in which a ranker looks up ids: what is known of an item before any training."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from model.checks import all_finite
from model.config import Vocabulary, code_columns, numbers_width


class ItemTable(nn.Module):
    """Codes and numbers of the items' features, and frozen content, by item id. Row 0 is the padding item, all zero.

    Without a number there is one column of zeros: torch.export can't write a tensor without elements.
    `seen_N` marks the items of the train split: statistics and codebooks are fitted on those alone.
    """

    codes_NX: Tensor
    numbers_NX: Tensor
    content_NC: Tensor
    seen_N: Tensor

    def __init__(self, codes_NX: Tensor, numbers_NX: Tensor, content_NC: Tensor, seen_N: Tensor) -> None:
        super().__init__()
        self.register_buffer("codes_NX", codes_NX)
        self.register_buffer("numbers_NX", numbers_NX)
        self.register_buffer("content_NC", content_NC)
        self.register_buffer("seen_N", seen_N)

    @classmethod
    def from_arrays(
        cls,
        codes: np.ndarray[Any, Any],
        content: np.ndarray[Any, Any],
        numbers: np.ndarray[Any, Any] | None = None,
        seen: Sequence[bool] | np.ndarray[Any, Any] | None = None,
    ) -> Self:
        """Without `seen`, every item but the padding counts as seen in train.

        Arrays of the right type that may be written to are used as they are, so that a mapped file stays one.
        """
        columns: dict[str, np.ndarray[Any, Any]] = {
            "codes": np.require(codes, np.int64, ("C", "W")),
            "numbers": np.require(
                numbers if numbers is not None and numbers.size else np.zeros((len(codes), 1)), np.float32, ("C", "W")
            ),
            "content": np.require(content, np.float32, ("C", "W")),
            "seen": np.ones(len(codes), bool) if seen is None else np.require(seen, np.bool_, ("C", "W")),
        }
        if seen is None:
            columns["seen"][0] = False
        for name, column in columns.items():
            if column.ndim != (1 if name == "seen" else 2) or len(column) != len(columns["codes"]):
                raise ValueError(f"item table: {name} has the shape {column.shape}: one row for each of the same items")
            if column[0].any():
                raise ValueError(f"item table: {name}[0] = {column[0]}: row 0 is the padding item and must be zero")
        if not all_finite(columns["content"]):
            raise ValueError("item table: content holds NaN or infinity; embed those items again")
        return cls(*(torch.from_numpy(column) for column in columns.values()))

    @classmethod
    def blank(cls, vocabulary: Vocabulary) -> Self:
        """A table of the right shape for weights yet to be loaded, on the current default device."""
        codes = sum(feature.width for feature in vocabulary.item if feature.codes)
        return cls(
            torch.zeros(vocabulary.items, codes, dtype=torch.int64),
            torch.zeros(vocabulary.items, max(1, numbers_width(vocabulary.item))),
            torch.zeros(vocabulary.items, vocabulary.content),
            torch.zeros(vocabulary.items, dtype=torch.bool),
        )

    def check(self, vocabulary: Vocabulary) -> None:
        """Raises if a code of the table would fall outside its embedding."""
        rows, width = self.content_NC.shape
        if rows != vocabulary.items:
            raise ValueError(f"vocabulary.items = {vocabulary.items}: the item table has {rows} rows")
        if width != vocabulary.content:
            raise ValueError(f"vocabulary.content = {vocabulary.content}: the item table's content has {width} columns")
        blank = self.blank(Vocabulary(2, 0, vocabulary.item))
        for name in ("codes_NX", "numbers_NX"):
            wanted, there = getattr(blank, name).shape[1], getattr(self, name).shape[1]
            if wanted != there:
                raise ValueError(f"item table: {name} has {there} columns, the features need {wanted}")
        if self.content_NC.is_meta:
            return
        sizes = {feature.name: feature.codes for feature in vocabulary.item}
        for name, columns in code_columns(vocabulary.item).items():
            codes = self.codes_NX[:, columns]
            if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < sizes[name]:
                raise ValueError(
                    f"item feature {name!r} has codes up to {sizes[name] - 1}: the item table holds {int(codes.max())}"
                )


def distinct_items(history_BL: Tensor, item_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(ids_U, history_BL, item_B) with the latter two as positions in ids_U, where position 0 is always the padding."""
    padding = history_BL.new_zeros(1)
    ids_U, positions = torch.unique(torch.cat([padding, history_BL.flatten(), item_B]), return_inverse=True)
    history = positions[1 : 1 + history_BL.numel()].view_as(history_BL)
    return ids_U, history, positions[1 + history_BL.numel() :]
