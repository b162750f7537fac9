"""Where to cut a batch, sorted by history length, into groups that are each computed at their own width.

A narrower group saves arithmetic on padding. One more group costs its launches, and reading the interaction's weights
once more. Both are counted in multiply-adds, so that the best cuts are a shortest path over the few possible ones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.config import ModelConfig
from model.interaction import CrossNetwork
from model.ranker import Ranker
from model.transformer import InterestTransformer

Array = npt.NDArray[Any]

# Where a cut may lie: each length up to 16, beyond that fewer.
WIDTHS = np.array([*range(1, 17), 20, 24, 32, 40, 48, 64, 80, 100, 128, 192, 256])

# Multiply-adds that fit in the time of a group's launches, and in that of reading one weight. Orders of magnitude:
# 60 operations forward and backward at 10 us against 1.6e10/s on a core, at 5 us against 6e13/s on a data-centre GPU.
LAUNCH = {"cpu": 1e7, "cuda": 2e10}
REREAD = {"cpu": 20.0, "cuda": 150.0}


@dataclass(frozen=True)
class GroupCosts:
    """By history length from 0 on: of a row in a group that wide, and of the group itself."""

    row_L: Array
    group_L: Array


def group_costs(ranker: Ranker, device: str) -> GroupCosts | None:
    """None where rows may not be scored apart: a batch statistic or a fixed width ties them together."""
    model = ranker.config
    if "din" in (model.interest, model.target_attention) or model.mask != "right":
        return None
    length_L = np.arange(model.history_length + 1, dtype=np.float64)
    active_L = np.array([ranker.features - ranker.leading_zeros(length) for length in range(model.history_length + 1)])
    crossing_L = active_L.astype(np.float64) ** 2 * (
        model.cross_layers if isinstance(ranker.cross, CrossNetwork) else 0
    )
    weights_L = crossing_L + active_L * (model.deep_widths[0] if model.deep_widths else 1)
    row_L = weights_L + length_L * _position(ranker, model) + length_L**2 * _pair(ranker, model)
    return GroupCosts(row_L, LAUNCH[device] + REREAD[device] * weights_L)


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
    row, group = costs.row_L[lengths], costs.group_L[lengths]
    best, before = np.zeros(len(ends)), np.zeros(len(ends), dtype=np.intp)
    for last in range(1, len(ends)):
        ways = best[:last] + (ends[last] - ends[:last]) * row[last - 1]
        before[last] = ways.argmin()
        best[last] = ways[before[last]] + group[last - 1]
    bounds: list[tuple[int, int]] = []
    last = len(ends) - 1
    while last:
        bounds.append((int(ends[before[last]]), int(ends[last])))
        last = int(before[last])
    return bounds[::-1]
