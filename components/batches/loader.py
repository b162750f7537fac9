"""Batches of ids. They hold no features, nearly no padding, and are made without a Python loop over rows.

A batch names each distinct item once; histories and targets are positions in that list. Its rows are sorted by history
length and cut into groups, each as wide as its longest history, so that padding costs next to nothing. A loss over a
batch does not depend on the order of its rows: the result is that of the padded batch.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from components.batches.convert import LONGEST_HISTORY
from components.batches.grouping import GroupCosts, group_bounds, staircase
from components.batches.rows import RowStore, gather_history, known_histories
from model.ranker import Events
from model.staircase import Staircase

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Batch:
    """Row b of the batch is row `rows_B[b]` of its split. Distinct item 0 is always the padding item."""

    rows_B: Array
    distinct_U: torch.Tensor
    histories: tuple[torch.Tensor, ...]  # for each group a [b, l] array of positions in distinct_U
    item_B: torch.Tensor  # positions in distinct_U
    codes_BX: torch.Tensor
    numbers_BX: torch.Tensor
    label_B: torch.Tensor  # float32; 255 where the split has no labels
    weight_B: torch.Tensor | None = None  # float32, 1 on average over the split; None: all rows count alike
    events: tuple[Events, ...] | None = None  # for each group; None: the data set declares no features of events
    stairs: Staircase | None = None  # where short histories leave features zero

    def __len__(self) -> int:
        return len(self.rows_B)

    def to(self, device: torch.device) -> "Batch":
        if device.type == "cpu":
            return self

        def move(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.pin_memory().to(device, non_blocking=True)

        columns = ("distinct_U", "item_B", "codes_BX", "numbers_BX", "label_B")
        moved: dict[str, Any] = {name: move(getattr(self, name)) for name in columns}
        if self.weight_B is not None:
            moved["weight_B"] = move(self.weight_B)
        if self.events is not None:
            moved["events"] = tuple((move(codes), move(numbers)) for codes, numbers in self.events)
        return replace(self, histories=tuple(map(move, self.histories)), **moved)


def feature_tensors(records: Array) -> Events:
    """The codes and the numbers of rows, or of events."""
    codes, numbers = records["codes"].astype(np.int64), records["numbers"].astype(np.float32)
    return torch.from_numpy(codes), torch.from_numpy(numbers)


@dataclass
class Collator:
    """Row numbers in, a batch out. Holds scratch space of the size of the item table.

    Unknown items are left out of histories, and are the padding item as a target: those from id `items` on, and those
    that `known` does not mark.
    """

    store: RowStore
    history_length: int
    items: int
    costs: GroupCosts | None = None  # None: one group
    known: Array | None = None  # by id; None: every id below `items` names an item
    _seen: Array = field(init=False)
    _position: Array = field(init=False)

    def __post_init__(self) -> None:
        self._seen = np.zeros(self.items, dtype=bool)
        self._position = np.zeros(self.items, dtype=np.int64)

    def __call__(self, rows: Array) -> Batch:
        flat, events, records = self.store.history_flat, self.store.events, self.store.records[rows]
        if self.known is not None or self.store.max_item >= self.items:  # a model of an older catalogue
            known = np.ones(self.items, dtype=bool) if self.known is None else self.known
            positions, records = known_histories(flat, records, known)
            flat, events = flat[positions], None if events is None else events[positions]
        lengths = np.minimum(records["length"], min(self.history_length, LONGEST_HISTORY))
        order = np.argsort(lengths, kind="stable")
        records, lengths = records[order], lengths[order]
        groups = [
            (records[first:end], max(1, int(lengths[end - 1]))) for first, end in group_bounds(lengths, self.costs)
        ]
        histories = [gather_history(flat, *group) for group in groups]
        distinct, position = self._distinct(histories, records["item"])
        codes_BX, numbers_BX = feature_tensors(records)
        weight = None if self.store.mean_weight is None else records["weight"] / np.float32(self.store.mean_weight)
        return Batch(
            rows_B=rows[order],
            distinct_U=torch.from_numpy(distinct),
            histories=tuple(torch.from_numpy(position[history]) for history in histories),
            item_B=torch.from_numpy(position[records["item"]]),
            codes_BX=codes_BX,
            numbers_BX=numbers_BX,
            label_B=torch.from_numpy(records["label"].astype(np.float32)),
            stairs=staircase(lengths, self.costs),
            weight_B=None if weight is None else torch.from_numpy(weight),
            events=None
            if events is None
            else tuple(feature_tensors(gather_history(events, *group)) for group in groups),
        )

    def _distinct(self, histories: list[Array], items: Array) -> tuple[Array, Array]:
        """The ids of a batch, ascending and each once, and the position of every id in that list."""
        parts = [np.zeros(1, items.dtype), items, *(history.ravel() for history in histories)]
        if 2 * sum(map(len, parts)) < self.items:  # sorting the ids is less work than looking every item up
            ids = np.sort(np.concatenate(parts))
            distinct = ids[np.concatenate([[True], ids[1:] != ids[:-1]])].astype(np.int64)
        else:
            self._seen[:] = False
            for part in parts:
                self._seen[part] = True
            distinct = np.flatnonzero(self._seen)
        self._position[distinct] = np.arange(len(distinct))
        return distinct, self._position
