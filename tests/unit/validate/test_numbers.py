"""The figures that rules judge, against independent ones."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from components.dataset.item_ids import pack_ids, unpack_ids
from components.validate.drift import ks, psi


def test_psi_of_two_draws_from_one_distribution_is_about_zero_however_few_they_are() -> None:
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.ones(50))
    draws = [psi(rng.multinomial(800, shares).tolist(), rng.multinomial(900, shares).tolist()) for _ in range(40)]
    assert np.mean(draws) < 0.03  # without the correction it is about 0.12
    assert max(draws) < 0.1


def test_psi_of_a_known_shift() -> None:
    assert psi([50_000, 50_000], [80_000, 20_000]) == pytest.approx(0.3 * np.log(1.6) - 0.3 * np.log(0.4), abs=1e-3)


def test_psi_is_finite_for_bins_that_were_empty() -> None:
    assert 2 < psi([0, 1000], [1000, 0]) < 100


def test_ks_is_scipys() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.poisson(6, 700), rng.poisson(7, 900)
    counts = [np.bincount(x, minlength=30).tolist() for x in (a, b)]
    assert ks(*counts) == pytest.approx(ks_2samp(a, b).statistic, abs=1e-12)


def test_packed_ids_come_back() -> None:
    ids = np.unique(np.random.default_rng(3).integers(0, 90_000, 40_000))
    assert unpack_ids(pack_ids(ids)).tolist() == ids.tolist()
    assert len(pack_ids(ids)) < 20_000
    assert unpack_ids(pack_ids(np.zeros(0, np.int64))).tolist() == []
