import tracemalloc

import numpy as np
import pytest
import scipy.stats

from components.errors import StepError
from components.train import sampler as sampler_module
from components.train.permutation import Permutation
from components.train.sampler import Rows, Sampler


@pytest.mark.parametrize("in_memory", [1000, 0], ids=["an array", "computed"])
def test_epochs_and_seeds_shuffle_differently_and_repeatably(monkeypatch: pytest.MonkeyPatch, in_memory: int) -> None:
    monkeypatch.setattr(sampler_module, "IN_MEMORY", in_memory)

    def order(seed: int, epoch: int) -> Rows:
        return Sampler(1000, 64, seed=seed).order(epoch)[0:1000]

    np.testing.assert_array_equal(order(1, 0), order(1, 0))
    assert not np.array_equal(order(1, 0), order(1, 1))
    assert not np.array_equal(order(1, 0), order(2, 0))


def test_the_order_of_few_rows_is_the_one_that_the_measured_models_saw() -> None:
    np.testing.assert_array_equal(Sampler(8, 4, seed=1).order(0), np.random.default_rng([1, 0]).permutation(8))


def test_a_computed_order_is_as_even_as_a_shuffle() -> None:
    """Where rows land is independent of where they were: a 20 x 20 table of both, against what chance allows."""
    rows = 1_000_003
    order = Permutation.seeded(rows, [1, 0])[0:rows]
    counts, _, _ = np.histogram2d(np.arange(rows), order, bins=20)
    assert scipy.stats.chisquare(counts.ravel(), counts.sum() / 400 * np.ones(400)).pvalue > 1e-4
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.005
    assert len(np.unique(order)) == rows


def test_the_order_of_a_billion_rows_takes_no_memory() -> None:
    sampler = Sampler(10**9, 1024, seed=1)
    tracemalloc.start()
    share = sampler.share(sampler.order(0), sampler.steps - 1)[0]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(np.unique(share)) == len(share) == sum(map(sum, sampler.sizes(sampler.steps - 1)))
    assert 0 <= share.min() < 10**8 < 9 * 10**8 < share.max() < 10**9
    assert peak < 2**20


def test_no_batch_is_a_small_rest() -> None:
    sampler = Sampler(rows=1025, batch_size=512, seed=1)
    assert [sum(map(sum, sampler.sizes(step))) for step in range(sampler.steps)] == [341, 342, 342]


def test_too_few_rows_for_the_ranks_are_refused() -> None:
    with pytest.raises(StepError, match=r"5 training rows .* 4 ranks x 2 accumulation steps: raise train\.batch_size"):
        Sampler(rows=5, batch_size=8, seed=1, ranks=4, accumulate=2)
