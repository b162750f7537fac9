"""Each split as a whole, counted by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.validate.measured import Flagged, Measured
from components.validate.splits import find_duplicates, measure_splits
from tests.unit.validate.small_data import Read, Row, lines_of, read

TRAIN = [
    Row(1, 1, (2, 3), label=1, likes=1, views=1),
    Row(1, 1, (2, 3), label=0, likes=1, views=1),  # as row 0, with another label
    Row(2, 2, (2, 3), label=1, likes=1, views=2),
    Row(1, 1, (), label=0, likes=3, views=1),
    Row(1, 1, (2, 3), label=1, likes=1, views=1),  # as row 0
]
TEST = [Row(3, 3, (1,), label=1, likes=2, views=2), Row(3, 3, (1,), label=1, likes=2, views=2)]


def tables(found: Read, examples: int = 5, min_history: int = 1) -> tuple[Measured, Flagged]:
    measured, flagged = Measured(), Flagged(frozenset({"duplicate"}))
    for rows in found.splits.values():
        find_duplicates(rows, flagged, measured, examples)
    measure_splits(found.splits, found.catalogue, flagged, min_history, measured)
    return measured, flagged


def test_a_split_is_described_and_compared_with_train(tmp_path: Path) -> None:
    measured, _ = tables(read(tmp_path, {1: [1], 2: [1], 3: [1]}, train=TRAIN, test=TEST))
    lines = lines_of(measured, "splits")
    assert lines["train"] == {
        "split": "train",
        "rows": 5,
        "quarantined": 2,
        "quarantined_share": 2 / 5,
        "short_history_share": 1 / 5,
        "label_rate": pytest.approx(3 / 5),
        "level_values": 2.0,  # likes are 1 or 3, views 1 or 2
        "top_item_share": 4 / 5,
        "top_user_share": 4 / 5,
        "top_history_share": 4 / 5,
        "level_mismatch_share": 2 / 5,  # every item has the levels 1 and 1
    }
    assert lines["test"] == {
        "split": "test",
        "rows": 2,
        "quarantined": 1,
        "quarantined_share": 1 / 2,
        "short_history_share": 0.0,
        "label_rate": 1.0,
        "level_values": 1.0,
        "top_item_share": 1.0,
        "top_user_share": 1.0,
        "top_history_share": 1.0,
        "level_mismatch_share": 1.0,
        "rows_of_train": 2 / 5,
        "label_rate_gap": pytest.approx(2 / 5),
    }
    assert measured.counts["rows.duplicate"] == 3
    assert measured.tables["rows"]["duplicate"].tolist() == [2, 1]


def test_of_equal_rows_the_first_stays_and_the_others_are_named_with_it(tmp_path: Path) -> None:
    measured, flagged = tables(read(tmp_path, {1: [1], 2: [1], 3: [1]}, train=TRAIN))
    assert flagged.of("train").tolist() == [1, 4]
    assert measured.examples["rows.duplicate"] == [
        {"split": "train", "row": 1, "same_as_row": 0, "user_id": 1, "item_id": 1, "labels": "1 and 0"},
        {"split": "train", "row": 4, "same_as_row": 1, "user_id": 1, "item_id": 1, "labels": "0 and 1"},
    ]


@pytest.mark.parametrize(("examples", "shown"), [(0, []), (1, [1]), (3, [1, 4, 1])])
def test_examples_are_limited_over_all_splits(tmp_path: Path, examples: int, shown: list[int]) -> None:
    measured, _ = tables(read(tmp_path, {1: [1], 2: [1], 3: [1]}, train=TRAIN, test=TEST), examples)
    assert [line["row"] for line in measured.examples["rows.duplicate"]] == shown


@pytest.mark.parametrize(("min_history", "share"), [(0, 0.0), (1, 1 / 5), (2, 1 / 5), (3, 1.0)])
def test_a_history_is_short_below_the_limit(tmp_path: Path, min_history: int, share: float) -> None:
    measured, _ = tables(read(tmp_path, {1: [1], 2: [1], 3: [1]}, train=TRAIN), min_history=min_history)
    assert lines_of(measured, "splits")["train"]["short_history_share"] == share


def test_without_labels_there_is_no_rate_and_no_gap(tmp_path: Path) -> None:
    measured, _ = tables(read(tmp_path, {1: [1], 2: [1], 3: [1]}, ("test",), train=TRAIN, test=TEST))
    line = lines_of(measured, "splits")["test"]
    assert {"label_rate", "label_rate_gap"} & set(line) == set()
    assert "labels" not in measured.examples["rows.duplicate"][-1]


def test_a_split_without_rows_has_counts_and_no_shares(tmp_path: Path) -> None:
    measured, _ = tables(read(tmp_path, {1: [1]}, train=TRAIN, test=[]))
    line = lines_of(measured, "splits")["test"]
    counts = {"rows": 0, "quarantined": 0, "quarantined_share": 0.0, "rows_of_train": 0.0}
    assert line == {"split": "test", "level_mismatch_share": 0.0, **counts}


def test_levels_as_of_each_click_are_correlated_and_not_compared(tmp_path: Path) -> None:
    found = read(tmp_path, {1: [1], 2: [1], 3: [1]}, train=TRAIN)
    found.splits["train"].levels_as_of_click = True
    found.catalogue.levels["likes_level"][1:4] = [1, 2, 3]
    found.catalogue.levels["views_level"][1:4] = [1, 4, 9]
    measured, _ = tables(found)
    line = lines_of(measured, "splits")["train"]
    assert "level_mismatch_share" not in line
    likes, views = ([row.likes for row in TRAIN], [row.views for row in TRAIN])
    items: Any = np.array([row.item for row in TRAIN])
    expected = min(
        np.corrcoef(np.array([0, 1, 2, 3])[items], likes)[0, 1], np.corrcoef(np.array([0, 1, 4, 9])[items], views)[0, 1]
    )
    assert line["level_agreement"] == pytest.approx(expected)
    assert measured.why_absent("splits", "level_mismatch_share").endswith("their levels are as of each click")


def test_an_unreadable_catalogue_compares_no_levels(tmp_path: Path) -> None:
    found = read(tmp_path, {1: [1]}, train=TRAIN)
    found.catalogue.readable = False
    measured, _ = tables(found)
    assert not {"level_agreement", "level_mismatch_share"} & set(lines_of(measured, "splits")["train"])
