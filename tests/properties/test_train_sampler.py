"""However a split, the ranks and the accumulation fall, an epoch sees each row exactly once."""

from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from components.train import sampler as sampler_module
from components.train.permutation import Permutation
from components.train.sampler import Sampler


@given(
    batch_size=st.integers(16, 64),
    rows=st.integers(16, 500),
    ranks=st.integers(1, 4),
    accumulate=st.integers(1, 3),
    seed=st.integers(0, 2**31),
    in_memory=st.booleans(),
)
def test_every_row_once_an_epoch(
    batch_size: int, rows: int, ranks: int, accumulate: int, seed: int, in_memory: bool
) -> None:
    samplers = [Sampler(rows, batch_size, seed, rank, ranks, accumulate) for rank in range(ranks)]
    with mock.patch.object(sampler_module, "IN_MEMORY", rows if in_memory else 0):
        order = samplers[0].order(0)
    seen: list[int] = []
    for step in range(samplers[0].steps):
        shares = [sampler.share(order, step) for sampler in samplers]
        sizes = [[len(share[part]) for share in shares] for part in range(accumulate)]
        assert sizes == samplers[0].sizes(step)
        assert sum(map(sum, sizes)) <= batch_size
        seen += [row for share in shares for part in share for row in part]
    assert sorted(seen) == list(range(rows))


@given(rows=st.integers(40, 300), ranks=st.integers(2, 4), accumulate=st.integers(1, 2))
def test_a_global_batch_is_the_same_however_many_share_it(rows: int, ranks: int, accumulate: int) -> None:
    alone = Sampler(rows, 32, seed=5)
    together = [Sampler(rows, 32, 5, rank, ranks, accumulate) for rank in range(ranks)]
    order = alone.order(3)
    np.testing.assert_array_equal(order, together[-1].order(3))
    for step in range(alone.steps):
        shared = np.concatenate([part for sampler in together for part in sampler.share(order, step)])
        assert set(shared) == set(alone.share(order, step)[0])


@given(rows=st.integers(1, 3000), seed=st.integers(0, 2**31))
def test_a_permutation_without_memory_holds_each_row_once(rows: int, seed: int) -> None:
    permutation = Permutation.seeded(rows, [seed, 0])
    whole = permutation[0:rows]
    assert sorted(whole) == list(range(rows))
    np.testing.assert_array_equal(np.concatenate([permutation[: rows // 3], permutation[rows // 3 :]]), whole)
