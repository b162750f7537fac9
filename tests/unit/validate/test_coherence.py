"""Clicks in succession against shuffled ones, where it is known by construction whether they are alike."""

from pathlib import Path

import numpy as np
import pytest

from components.validate.coherence import measure_coherence, shared_tags
from components.validate.measured import Measured
from components.validate.vectors import Vectors
from tests.unit.validate.small_data import Row, lines_of, read

TOPICS, ITEMS = 10, 200  # item i is about topic i % 10


def taste(seed: int = 1, rows: int = 60, length: int = 11) -> list[Row]:
    """Each row's clicks are about one topic."""
    random = np.random.default_rng(seed)
    topic = random.integers(TOPICS, size=rows)
    clicks = topic[:, None] + TOPICS * random.integers(1, ITEMS // TOPICS, size=(rows, length))
    return [Row(user, 1, tuple(clicks[user].tolist())) for user in range(rows)]


def tags(shuffle: bool = False) -> dict[int, list[int]]:
    topics = np.arange(ITEMS) % TOPICS
    if shuffle:
        topics = np.random.default_rng(5).permutation(topics)
    return {item: [0, 100, int(topics[item]) + 1] for item in range(1, ITEMS)}


def vectors(shuffle: bool = False) -> Vectors:
    random = np.random.default_rng(6)
    of_topic = np.repeat(random.normal(size=(1, TOPICS, 16)), ITEMS // TOPICS, axis=0).reshape(ITEMS, 16)
    values = of_topic + 0.3 * random.normal(size=(ITEMS, 16))
    if shuffle:
        values = random.permutation(values)
    made = Vectors("txt")
    made.add(np.arange(ITEMS), values.reshape(-1), np.full(ITEMS, 16))
    return made


@pytest.mark.parametrize(("shuffle", "alike"), [(False, True), (True, False)], ids=["own content", "shuffled content"])
def test_content_of_the_wrong_items_is_no_more_alike_than_chance(tmp_path: Path, shuffle: bool, alike: bool) -> None:
    found = read(tmp_path, tags(shuffle), train=taste())
    measured = Measured()
    measure_coherence(found.splits["train"], found.catalogue, [vectors(shuffle)], measured)
    lines = lines_of(measured, "content")
    assert set(lines) == {"tags", "txt"}
    for line in lines.values():
        assert (line["coherence"] > 10) is alike
        assert abs(line["coherence"]) < 4 or alike
        assert (line["likeness_of_neighbours"] > line["likeness_by_chance"] + 0.3) is alike
    if alike:
        assert lines["tags"]["likeness_of_neighbours"] == pytest.approx(2.0), "tag 100 and the topic; 0 is padding"


def test_coherence_is_the_gain_in_standard_errors(tmp_path: Path) -> None:
    """By the same shuffle, from Python's sets."""
    rows, known = taste(rows=70), {item: [*some, 200 + item % 3] for item, some in tags().items()}
    found = read(tmp_path, known, train=rows)
    measured = Measured()
    measure_coherence(found.splits["train"], found.catalogue, [], measured)
    pairs = [pair for row in rows for pair in zip(row.history, row.history[1:], strict=False)]
    first, second = np.array(pairs).T
    shuffled = np.random.default_rng(13).permutation(second)
    alike, chance = (
        np.array([len(set(known[a]) & set(known[b]) - {0}) for a, b in zip(first, other, strict=True) if a != b])
        for other in (second, shuffled)
    )
    error = np.sqrt(alike.var() / len(alike) + chance.var() / len(chance))
    line = lines_of(measured, "content")["tags"]
    assert line["likeness_by_chance"] == pytest.approx(chance.mean())
    assert line["likeness_of_neighbours"] == pytest.approx(alike.mean())
    assert line["coherence"] == pytest.approx((alike.mean() - chance.mean()) / error)


@pytest.mark.parametrize(("rows", "measured_at_all"), [(50, True), (49, False)], ids=["500 pairs", "490 pairs"])
def test_few_pairs_decide_nothing(tmp_path: Path, rows: int, measured_at_all: bool) -> None:
    found = read(tmp_path, tags(), train=taste(rows=rows))
    measured = Measured()
    measure_coherence(found.splits["train"], found.catalogue, [], measured)
    assert ("content" in measured.tables) is measured_at_all
    assert (measured.absent == {}) is measured_at_all


def test_pairs_without_content_do_not_count_towards_the_fewest(tmp_path: Path) -> None:
    """500 pairs of clicks, but one in ten shows an item that the table does not know."""
    known = {item: tag for item, tag in tags().items() if item < 150}
    found = read(tmp_path, known, train=taste(rows=50))
    measured = Measured()
    measure_coherence(found.splits["train"], found.catalogue, [], measured)
    assert "coherence" not in lines_of(measured, "content")["tags"]


def test_content_that_is_the_same_everywhere_has_no_coherence(tmp_path: Path) -> None:
    found = read(tmp_path, {item: [4] for item in range(1, ITEMS)}, train=taste(rows=70))
    measured = Measured()
    measure_coherence(found.splits["train"], found.catalogue, [], measured)
    line = lines_of(measured, "content")["tags"]
    assert line["likeness_of_neighbours"] == line["likeness_by_chance"] == 1.0
    assert "coherence" not in line


def test_without_train_nothing_is_compared(tmp_path: Path) -> None:
    found, measured = read(tmp_path, tags(), train=[]), Measured()
    measure_coherence(None, found.catalogue, [], measured)
    assert measured.absent == {"content": "fewer than 500 pairs of clicks in succession could be read"}


def test_shared_tags_counts_each_tag_of_both_once_and_padding_never(tmp_path: Path) -> None:
    known = {1: [0, 5, 6], 2: [0, 6, 5], 3: [0, 7], 4: [], 5: [1, 2, 3, 4, 5, 6, 7, 8, 9], 6: [8, 9]}
    catalogue = read(tmp_path, known, train=[]).catalogue
    first, second = np.array([1, 1, 1, 1, 1, 99, 1, 5]), np.array([2, 3, 4, 5, 1, 1, 99, 6])
    expected = [2, 0, 0, 2, np.nan, np.nan, np.nan, 1]  # the ninth tag of an item is not compared
    np.testing.assert_array_equal(shared_tags(catalogue, first, second), expected)


@pytest.mark.parametrize(("items", "names"), [(2, ["tags", "txt"]), (1, ["tags"])], ids=["two vectors", "one vector"])
def test_two_vectors_are_the_fewest_that_can_be_compared(tmp_path: Path, items: int, names: list[str]) -> None:
    found, measured = read(tmp_path, tags(), train=taste()), Measured()
    few = Vectors("txt")
    few.add(np.arange(1, 1 + items), np.arange(4.0 * items), np.full(items, 4))
    measure_coherence(found.splits["train"], found.catalogue, [few], measured)
    assert list(lines_of(measured, "content")) == names
