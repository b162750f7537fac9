from dataclasses import replace

import numpy as np
import pytest
import torch

from components.batches.grouping import GroupCosts, group_bounds, group_costs, staircase
from components.batches.item_table import table_from, vocabulary_of
from components.train.job import Job
from model.config import ModelConfig
from model.ranker import Ranker
from model.staircase import Staircase
from tests.tiny_training import MODEL

LINEAR = np.arange(301.0)


@pytest.mark.parametrize(
    ("lengths", "cost", "bounds"),
    [
        pytest.param([5] * 9, 1, [(0, 9)], id="one-length"),
        pytest.param([2, 2, 2, 50], 100, [(0, 3), (3, 4)], id="a-long-one-apart"),
        pytest.param([2, 2, 2, 50], 200, [(0, 4)], id="too-dear"),
        pytest.param([0, 3], 1, [(0, 1), (1, 2)], id="an-empty-one"),
        pytest.param([0], 1, [(0, 1)], id="one-row"),
        pytest.param([300, 300], 1, [(0, 2)], id="beyond-the-widths"),
        pytest.param([1, 2, 3, 9], 4, [(0, 3), (3, 4)], id="the-cheapest-of-several"),
    ],
)
def test_a_batch_is_cut_where_a_longer_group_would_cost_more(
    lengths: list[int], cost: float, bounds: list[tuple[int, int]]
) -> None:
    assert group_bounds(np.array(lengths), GroupCosts(LINEAR, float(cost))) == bounds


def total(ends: list[int], lengths: np.ndarray, costs: GroupCosts) -> float:
    widths = [lengths[end - 1] for end in ends]
    rows = np.diff([0, *ends])
    return float(sum(n * costs.row_L[w] + costs.group for n, w in zip(rows, widths, strict=True)))


def test_no_other_cut_is_cheaper() -> None:
    rng = np.random.default_rng(0)
    every_cut = [[*np.flatnonzero([mask >> i & 1 for i in range(9)]) + 1, 10] for mask in range(2**9)]
    for _ in range(20):
        lengths = np.sort(rng.integers(1, 7, 10))
        costs = GroupCosts(LINEAR**1.5, rng.uniform(0, 30))
        found = total([end for _, end in group_bounds(lengths, costs)], lengths, costs)
        assert found == pytest.approx(min(total(ends, lengths, costs) for ends in every_cut))


def test_without_costs_a_batch_is_one_group() -> None:
    assert group_bounds(np.array([1, 2, 90]), None) == [(0, 3)]


@pytest.mark.parametrize(
    ("model", "apart"),
    [
        pytest.param(MODEL, True, id="transformer"),
        pytest.param(replace(MODEL, interest="din"), False, id="batch-statistics"),
        pytest.param(replace(MODEL, target_attention="din"), False, id="batch-statistics-beside"),
        pytest.param(replace(MODEL, mask="inverted"), False, id="reads-the-padding"),
    ],
)
def test_rows_are_scored_apart_only_where_that_is_exact(job: Job, model: ModelConfig, apart: bool) -> None:
    arrays = job.items()
    ranker = Ranker(model, vocabulary_of(arrays), table_from(arrays))
    assert (group_costs(ranker, "cpu") is not None) is apart


def test_a_longer_history_costs_more(job: Job) -> None:
    torch.manual_seed(0)
    arrays = job.items()
    costs = group_costs(Ranker(MODEL, vocabulary_of(arrays), table_from(arrays)), "cuda")
    assert costs is not None
    assert (np.diff(costs.row_L) > 0).all()


@pytest.mark.parametrize(
    ("lengths", "spared_rows", "rows", "columns"),
    [
        pytest.param([1, 1, 2, 3, 9], 1, (0, 2, 3), (20, 10, 0), id="one-step-a-length"),
        pytest.param([0, 1, 3], 1, (0, 1, 2), (30, 20, 0), id="an-empty-history"),
        pytest.param([3, 3, 4], 1, (0,), (0,), id="all-full"),
        pytest.param([1, 1, 1], 1, (0,), (20,), id="none-reaches-the-oldest"),
        pytest.param([0, 0], 1, (0,), (30,), id="no-history-at-all"),
        pytest.param([1, 1, 2, 3, 9], 3, (0, 3), (10, 0), id="a-step-of-two-rows-is-not-worth-it"),
        pytest.param([1, 1, 2, 3, 9], 9, (0,), (0,), id="none-is-worth-it"),
    ],
)
def test_the_steps_of_a_staircase_follow_the_empty_blocks(
    lengths: list[int], spared_rows: float, rows: tuple[int, ...], columns: tuple[int, ...]
) -> None:
    costs = GroupCosts(LINEAR, 0.0, blocks=3, block_width=10, spared_rows=spared_rows)
    assert staircase(np.array(lengths), costs) == Staircase(rows, columns)


def test_without_empty_blocks_there_is_no_staircase(job: Job) -> None:
    arrays = job.items()
    ranker = Ranker(replace(MODEL, interest="recency"), vocabulary_of(arrays), table_from(arrays))
    assert staircase(np.array([1, 2]), group_costs(ranker, "cpu")) is None
    assert staircase(np.array([1, 2]), None) is None
