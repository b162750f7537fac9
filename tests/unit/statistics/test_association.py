"""How much one column says of another."""

import numpy as np
import pytest

from components.statistics.association import Pair, closest, cuts_of, information


def test_information_of_tables_that_are_known() -> None:
    same = np.repeat([0, 1], 5000)
    nothing = np.tile([0, 1], 5000)
    assert information(same, [1], same, [1]) == pytest.approx(np.log(2), abs=1e-3)
    assert information(same, [1], nothing, [1]) == pytest.approx(0, abs=1e-3)


def test_chance_alone_counts_as_nothing_on_average() -> None:
    random = np.random.default_rng(1)
    cuts = list(range(1, 8))
    found = [information(random.integers(0, 8, 500), cuts, random.integers(0, 8, 500), cuts) for _ in range(200)]
    assert abs(float(np.mean(found))) < 0.005


def test_cuts_leave_missing_values_alone_and_share_out_the_rest() -> None:
    codes = np.r_[np.zeros(100, np.int64), np.arange(1, 801)]
    sizes = np.bincount(np.searchsorted(cuts_of(codes), codes, side="right"))
    assert sizes[0] == 100
    assert len(sizes) <= 9
    assert cuts_of(np.zeros(5, np.int64)) == [0, 1]


def test_each_column_keeps_the_one_that_it_depends_on_most() -> None:
    random = np.random.default_rng(1)
    hour = random.integers(0, 24, 5000)
    columns = {
        "hour": hour,
        "device": (hour > 12).astype(np.int64) + 1,
        "age": (hour > 12) * random.integers(0, 2, 5000) + 1,
        "alone": random.integers(0, 9, 5000),
    }
    found = closest(columns, 0.02)
    assert {name: pair.partner for name, pair in found.items() if name != "age"} == {"hour": "device", "device": "hour"}
    assert found["age"].information > 0.1
    pair = Pair(**found["hour"].as_json())
    assert pair.lost(columns["hour"], columns["device"]) == pytest.approx(0, abs=0.01)
    assert pair.lost(random.permutation(columns["hour"]), columns["device"]) == pytest.approx(1, abs=0.02)
