"""Where to cut a batch, sorted by history length, into groups that are each computed at their own width.

A narrower group saves arithmetic on padding, but every further group has a fixed cost. Both are counted in
multiply-adds, and the best cuts are a shortest path over the few that are possible. The features that short histories
leave empty are counted in the same way.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.config import ModelConfig
from model.ranker import Ranker
from model.staircase import Staircase
from model.transformer import InterestTransformer

Array = npt.NDArray[Any]

# The widths at which a batch may be cut: every length up to 16, and fewer beyond.
WIDTHS = np.array([*range(1, 17), 20, 24, 32, 40, 48, 64, 80, 100, 128, 192, 256])

# A group, or a step of the staircase, costs time besides its multiply-adds: 60 and more kernel launches, forward and
# backward, and the addition to its weights' gradients. This is how many multiply-adds fit into that time, roughly. The
# CPU's number was measured on one core, where anything from 4e7 to 2e8 does as well, and 1e7 costs a third more time in
# bfloat16. The GPU's is an estimate: 5 us a launch, 6e13 multiply-adds a second.
LAUNCHES = {"cpu": 4e7, "cuda": 2e10}


@dataclass(frozen=True)
class GroupCosts:
    """What grouping costs, in multiply-adds."""

    row_L: Array  # of one row in a group whose longest history has this length, from 0 on
    group: float  # of one more group
    blocks: int = 0  # how many blocks of features short histories leave empty, see `Ranker.empty_blocks`
    block_width: int = 0
    spared_rows: float = 1.0  # how many rows a step of the staircase must spare to be worth its launches


def group_costs(ranker: Ranker, device: str) -> GroupCosts | None:
    """None if rows must not be scored in groups, because a statistic over the batch or a fixed width connects them."""
    model = ranker.config
    if "din" in (model.interest, model.target_attention) or model.mask != "right":
        return None
    length_L = np.arange(model.history_length + 1, dtype=np.float64)
    row_L = length_L * _position(ranker, model) + length_L**2 * _pair(ranker, model)
    blocks, width = ranker.empty_blocks()
    # A block's rows and columns of each cross matrix, three products each: forward, to the weights, to the features.
    spared = 6.0 * model.cross_layers * width * ranker.features
    return GroupCosts(row_L, LAUNCHES[device], blocks, width, LAUNCHES[device] / max(spared, 1.0))


def _position(ranker: Ranker, model: ModelConfig) -> float:
    """Multiply-adds of one position of a history."""
    if not isinstance(ranker.interest, InterestTransformer):
        return 4.0 * ranker.item_encoder.width
    width = ranker.interest.model_width
    return model.layers * (4.0 * width**2 + 2.0 * width * model.ffn_dim)


def _pair(ranker: Ranker, model: ModelConfig) -> float:
    """Multiply-adds of one position attending to another."""
    interest = ranker.interest
    return 2.0 * model.layers * interest.model_width if isinstance(interest, InterestTransformer) else 0.0


def group_bounds(ascending: Array, costs: GroupCosts | None) -> list[tuple[int, int]]:
    """(first row, end) of each group of rows whose lengths ascend."""
    if costs is None:
        return [(0, len(ascending))]
    ends = np.searchsorted(ascending, WIDTHS[ascending[-1] > WIDTHS], side="right")
    ends = np.unique(np.concatenate([[0], ends, [len(ascending)]]))
    lengths = ascending[ends[1:] - 1].astype(np.intp)
    row = costs.row_L[lengths]
    best, before = np.zeros(len(ends)), np.zeros(len(ends), dtype=np.intp)
    for last in range(1, len(ends)):
        ways = best[:last] + (ends[last] - ends[:last]) * row[last - 1]
        before[last] = ways.argmin()
        best[last] = ways[before[last]] + costs.group
    bounds: list[tuple[int, int]] = []
    last = len(ends) - 1
    while last:
        bounds.append((int(ends[before[last]]), int(ends[last])))
        last = int(before[last])
    return bounds[::-1]


def staircase(ascending: Array, costs: GroupCosts | None) -> Staircase | None:
    """Which of the interaction's features are zero for these rows; None where none are."""
    if costs is None or not costs.blocks:
        return None
    starts: list[int] = []
    for row in np.searchsorted(ascending, np.arange(1, costs.blocks + 1)).tolist():
        before = starts[-1] if starts else 0
        # A step that spares too few rows begins where the one before it does.
        starts.append(row if row - before >= costs.spared_rows else before)
    return Staircase.of_blocks(starts, costs.blocks * costs.block_width, costs.block_width, len(ascending))
