"""The paired comparison: its arithmetic against known formulas, and its rate of false alarms in simulations."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from components.statistics.intervals import difference_by_row, p_better
from studies.significance import (
    LEVEL,
    Difference,
    Ranking,
    SeedNoise,
    Spread,
    compare,
    holm,
    mean_over_seeds,
    ranking,
    seed_noise,
    verdict,
)


@dataclass(frozen=True)
class World:
    """Scores follow a row's true inclination as well as `skill` says; `restless` is by how much a seed changes that."""

    users: int = 150
    rows_a_user: int = 4
    seeds: int = 3
    restless: float = 0.15
    row_noise: float = 0.5


def draw(random: np.random.Generator, world: World, gain: float = 0.0) -> Difference:
    rows = world.users * world.rows_a_user
    users = np.repeat(np.arange(world.users), world.rows_a_user)
    inclination = np.repeat(random.normal(size=world.users), world.rows_a_user) + random.normal(size=rows)
    labels = (random.random(rows) < 1 / (1 + np.exp(1 - inclination))).astype(np.int64)
    # What an arm misjudges of a user and of a row, whatever its seed: the same arm errs alike with every seed.
    quirks = [0.5 * random.normal(size=rows) + 0.5 * random.normal(size=world.users)[users] for _ in range(2)]

    def trained(arm: int, skill: float) -> Ranking:
        known = (skill + world.restless * random.normal()) * inclination
        return ranking(labels, known + quirks[arm] + world.row_noise * random.normal(size=rows))

    ours = [trained(0, 1.0 + gain) for _ in range(world.seeds)]
    theirs = [trained(1, 1.0) for _ in range(world.seeds)]
    noise = seed_noise({name: [each.auc for each in arm] for name, arm in (("ours", ours), ("theirs", theirs))})
    return compare(ours, theirs, users, [noise["ours"], noise["theirs"]])


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(World(), id="users-and-seeds"),
        pytest.param(World(restless=0.0, row_noise=0.0), id="users-alone"),
        pytest.param(World(restless=0.4, users=400), id="mostly-seeds"),
        pytest.param(World(seeds=5), id="five-seeds"),
    ],
)
def test_equal_arms_raise_the_alarm_about_one_time_in_twenty(world: World) -> None:
    random = np.random.default_rng(20261120)
    alarms = sum(draw(random, world).p < LEVEL for _ in range(600))
    # Two standard errors of a share of 5% among 600 are 1.8 points. Below lies caution, see the module's first words.
    assert 0.005 < alarms / 600 < 0.07


def test_a_planted_difference_is_found_and_held_by_its_interval() -> None:
    random = np.random.default_rng(7)
    found = [draw(random, World(users=600, restless=0.05), gain=0.8) for _ in range(60)]
    assert all(each.difference > 0 for each in found)
    assert sum(verdict(each, each.p) == "better" for each in found) > 54
    mean = float(np.mean([each.difference for each in found]))
    held = sum(each.low < mean < each.high for each in found if each.low is not None and each.high is not None)
    assert held > 54


def test_one_seed_of_users_with_one_row_each_is_delongs_test() -> None:
    random = np.random.default_rng(3)
    labels = np.arange(400) % 3 // 2
    first, second = labels + random.normal(size=400), labels + random.normal(size=400)
    found = compare([ranking(labels, second)], [ranking(labels, first)], np.arange(400))
    theirs = difference_by_row(labels, second, first, 0.95)
    assert found.difference == pytest.approx(theirs.value)
    assert found.p == pytest.approx(
        2 * p_better(abs(theirs.value), theirs.error), rel=0.05
    )  # t instead of z, and n - 1 of another n


@pytest.mark.parametrize("unlike", [pytest.param(0.0, id="arms-alike"), pytest.param(0.8, id="arms-unlike")])
def test_a_study_of_many_arms_that_seeds_shake_raises_few_false_alarms(unlike: float) -> None:
    """Twelve comparisons of thirteen equal arms, three seeds, four fifths of the variance from seeds, as measured on
    real clicks. Satterthwaite's test would raise a false alarm in 14 to 18 of 100 such studies."""
    random = np.random.default_rng(20261120)
    users = np.arange(60)
    alarms = 0
    for _ in range(150):
        shaken = 0.007 * np.exp(unlike * random.normal(size=13))
        pull = random.normal(size=(13, 60)) * 0.002 / np.sqrt(60)
        areas = 0.8 + pull.sum(1) + shaken * random.normal(size=(3, 13))
        arms = [[Ranking(float(areas[seed, arm]), pull[arm]) for seed in range(3)] for arm in range(13)]
        noise = seed_noise({str(arm): areas[:, arm].tolist() for arm in range(13)})
        found = [compare(arms[arm], arms[0], users, [noise[str(arm)], noise["0"]]) for arm in range(1, 13)]
        alarms += min(holm([each.p for each in found])) < LEVEL
    assert alarms / 150 < 0.09


def test_without_noise_of_users_it_is_a_t_test_over_seeds() -> None:
    areas = np.array([0.81, 0.84, 0.82]), np.array([0.79, 0.80, 0.81])
    still = np.zeros(10)
    ours, theirs = ([Ranking(float(area), still) for area in side] for side in areas)
    noise = [SeedNoise(float(side.var(ddof=1)), 4) for side in areas]
    found = compare(ours, theirs, np.arange(10), noise)
    assert found.p == pytest.approx(stats.ttest_ind(*areas).pvalue)
    low, high = stats.ttest_ind(*areas).confidence_interval()
    assert [found.low, found.high] == pytest.approx([low, high])


def test_the_variance_between_seeds_is_estimated_from_all_arms_together() -> None:
    alike = {str(arm): [0.80, 0.81, 0.82] for arm in range(5)}
    assert seed_noise(alike)["0"].variance == pytest.approx(1e-4)
    assert seed_noise(alike)["0"].freedom == 10
    odd = seed_noise({**alike, "restless": [0.6, 0.8, 1.0]})
    assert 1e-3 < odd["restless"].variance < 0.04
    assert 2 < odd["restless"].freedom < 12
    assert list(seed_noise({"one": [0.8], "two": [0.7, 0.8]})) == ["two"]
    assert seed_noise({"a": [0.8, 0.8], "b": [0.8, 0.8]})["a"] == SeedNoise(0.0, 1)


def test_the_two_parts_keep_their_own_distribution() -> None:
    for part, freedom in ((0.0, 100), (1.0, 2)):
        spread = Spread(part, 100, 2)
        assert spread.p_value(2.5) == pytest.approx(2 * stats.t.sf(2.5, freedom))
    half = Spread(0.5, 100, 2)
    assert half.quantile(0.05) == pytest.approx((stats.t.isf(0.025, 100) + stats.t.isf(0.025, 2)) / 2)
    assert half.p_value(half.quantile(0.01)) == pytest.approx(0.01)
    assert half.p_value(0.0) == 1.0
    assert 0 < Spread(0.0, 1000, 1).p_value(1e6) < 1e-90


def test_rows_of_one_user_count_as_one_draw() -> None:
    """Each row ten times over, by the same user, says no more than once."""
    random = np.random.default_rng(5)
    labels = np.arange(200) % 2
    first, second = labels + random.normal(size=200), labels + random.normal(size=200)

    def found(times: int) -> Difference:
        wide = np.repeat(labels, times)
        ours, theirs = (ranking(wide, np.repeat(scores, times)) for scores in (second, first))
        return compare([ours], [theirs], np.repeat(np.arange(200), times))

    assert found(10).p == pytest.approx(found(1).p)


def test_the_same_ranking_twice_is_no_difference() -> None:
    labels, scores = np.arange(20) % 2, np.linspace(0, 1, 20)
    found = compare([ranking(labels, scores)] * 2, [ranking(labels, scores**3)] * 2, np.arange(20))
    assert found.difference == 0.0
    assert found.p == 1.0
    assert verdict(found, found.p) == "inconclusive"


def test_with_a_single_user_every_comparison_is_inconclusive() -> None:
    labels = np.arange(20) % 2
    ours, theirs = ranking(labels, np.linspace(0, 1, 20)), ranking(labels, np.linspace(1, 0, 20))
    found = compare([ours, ours], [theirs, theirs], np.zeros(20, dtype=np.int64))
    assert (found.low, found.high, found.p) == (None, None, 1.0)


@pytest.mark.parametrize(
    ("difference", "p_holm", "seeds", "expected"),
    [
        pytest.param(0.01, 0.049, 3, "better", id="better"),
        pytest.param(-0.01, 0.049, 3, "worse", id="worse"),
        pytest.param(0.01, 0.05, 3, "inconclusive", id="not-sure-enough"),
        pytest.param(0.1, 1e-9, 1, "inconclusive", id="one-seed-proves-nothing"),
    ],
)
def test_verdict(difference: float, p_holm: float, seeds: int, expected: str) -> None:
    assert verdict(Difference(difference, None, None, p_holm, seeds), p_holm) == expected


@pytest.mark.parametrize(
    ("given", "adjusted"),
    [
        pytest.param([], [], id="none"),
        pytest.param([0.03], [0.03], id="one"),
        pytest.param([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02], id="a textbook's four"),
        pytest.param([0.9, 0.8], [1.0, 1.0], id="never above one"),
        pytest.param([0.02, 0.021], [0.04, 0.04], id="never falling"),
    ],
)
def test_holm(given: list[float], adjusted: list[float]) -> None:
    assert holm(given) == pytest.approx(adjusted)


def test_mean_over_seeds_has_a_t_interval_and_one_seed_has_none() -> None:
    values = [0.80, 0.82, 0.84]
    found = mean_over_seeds(values)
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert [found.mean, found.sd, found.low, found.high] == pytest.approx([0.82, 0.02, low, high])
    assert mean_over_seeds([0.8]).low is None


def test_seeds_must_pair() -> None:
    one = Ranking(0.5, np.zeros(4))
    with pytest.raises(ValueError, match="same seeds twice: got 2 and 1"):
        compare([one, one], [one], np.arange(4))
