import numpy as np
import pytest

from components.errors import StepError
from components.train.sampler import Sampler


def test_epochs_and_seeds_shuffle_differently_and_repeatably() -> None:
    sampler = Sampler(1000, 64, seed=1)
    np.testing.assert_array_equal(sampler.order(0), Sampler(1000, 64, seed=1).order(0))
    assert not np.array_equal(sampler.order(0), sampler.order(1))
    assert not np.array_equal(sampler.order(0), Sampler(1000, 64, seed=2).order(0))


def test_no_batch_is_a_small_rest() -> None:
    sampler = Sampler(rows=1025, batch_size=512, seed=1)
    assert [sum(map(sum, sampler.sizes(step))) for step in range(sampler.steps)] == [341, 342, 342]


def test_too_few_rows_for_the_ranks_are_refused() -> None:
    with pytest.raises(StepError, match=r"5 training rows .* 4 ranks x 2 accumulation steps: raise train\.batch_size"):
        Sampler(rows=5, batch_size=8, seed=1, ranks=4, accumulate=2)
