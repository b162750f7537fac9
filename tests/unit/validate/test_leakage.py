"""What a split shares with train, on rows whose every kind of leak is written out by hand."""

import math
from pathlib import Path
from typing import Any

import pytest

from components.validate.leakage import measure_leakage
from components.validate.measured import Measured
from tests.unit.validate.small_data import Row, lines_of, read

TRAIN = [
    Row(1, 10, (3, 4, 5)),
    Row(1, 11, (4, 5, 6)),
    Row(2, 12, (7, 8, 9)),
    Row(3, 13, (1, 2)),
]
SPLIT = [
    Row(9, 50, (1, 2, 3)),  # nothing of it is in train
    Row(1, 10, (3, 4, 5)),  # a row of train
    Row(9, 10, (3, 4, 5)),  # the same but for the user
    Row(9, 13, (1, 2)),  # so short that it coincides by chance
    Row(2, 8, (), label=1),  # user 2 clicked item 8 before train's row
    Row(2, 8, (), label=0),  # the same, and this time it was no click
    Row(2, 77, (), label=1),  # a returning user who clicked something new
    Row(9, 8, (), label=1),  # item 8 is in train, but not in a history of this user
]


def pairs(folder: Path, splits: dict[str, list[Row]], unlabelled: tuple[str, ...] = (), examples: int = 5) -> Any:
    found = read(folder, {1: [1]}, unlabelled, **splits)
    measured = Measured()
    measure_leakage(found.splits, found.sources.get("train"), measured, examples)  # type: ignore[arg-type]
    return measured, found


def test_each_kind_of_leak_is_counted_apart(tmp_path: Path) -> None:
    measured, _ = pairs(tmp_path, {"train": TRAIN, "valid": SPLIT})
    assert lines_of(measured, "pairs") == {
        "valid in train": {
            "pair": "valid in train",
            "rows": 8,
            "shared_users": pytest.approx(2 / 3),  # of users 1, 2 and 9
            "rows_of_shared_users": 4 / 8,
            "identical_rows": 1,
            "copied_rows": 1 / 8,
            "clicked_before": 1 / 2,  # of the two clicks by returning users
        }
    }
    assert {name: [found["row"] for found in rows] for name, rows in measured.examples.items()} == {
        "pairs.shared_users": [1, 4, 5, 6],
        "pairs.identical_rows": [1],
        "pairs.clicked_before": [4, 5],
        "pairs.copied_rows": [2],
    }
    assert measured.examples["pairs.copied_rows"] == [{"split": "valid", "row": 2, "user_id": 9, "item_id": 10}]


def test_without_labels_every_row_of_a_returning_user_counts_as_a_click(tmp_path: Path) -> None:
    measured, _ = pairs(tmp_path, {"train": TRAIN, "test": SPLIT}, unlabelled=("test",))
    assert lines_of(measured, "pairs")["test in train"]["clicked_before"] == 2 / 4


def test_each_split_is_held_against_train_and_identical_rows_are_added_up(tmp_path: Path) -> None:
    measured, _ = pairs(tmp_path, {"train": TRAIN, "valid": SPLIT, "test": SPLIT[:2] + SPLIT[1:2]}, examples=2)
    lines = lines_of(measured, "pairs")
    assert [line["identical_rows"] for line in lines.values()] == [1, 2]
    assert lines["test in train"]["shared_users"] == 1 / 2
    assert measured.counts["pairs.identical_rows"] == 3
    assert [(found["split"], found["row"]) for found in measured.examples["pairs.identical_rows"]] == [
        ("valid", 1),
        ("test", 1),
    ]


@pytest.mark.parametrize(("length", "copied"), [(2, 0.0), (3, 1.0)])
def test_a_copy_counts_from_three_clicks_on(tmp_path: Path, length: int, copied: float) -> None:
    history = tuple(range(1, length + 1))
    measured, _ = pairs(tmp_path, {"train": [Row(1, 10, history)], "valid": [Row(2, 10, history)]})
    assert lines_of(measured, "pairs")["valid in train"]["copied_rows"] == copied


def test_users_who_do_not_return_say_nothing_of_what_was_clicked_before(tmp_path: Path) -> None:
    measured, _ = pairs(tmp_path, {"train": TRAIN, "valid": [Row(9, 8, (1, 2, 3), label=1)]})
    assert math.isnan(measured.tables["pairs"]["clicked_before"].iloc[0])
    assert measured.why_absent("pairs", "clicked_before") == "no user of valid or test is in train"


@pytest.mark.parametrize("splits", [{"train": TRAIN}, {"valid": SPLIT}, {"train": TRAIN, "valid": []}])
def test_without_two_splits_there_is_no_pair(tmp_path: Path, splits: dict[str, list[Row]]) -> None:
    measured, _ = pairs(tmp_path, splits)
    assert "pairs" not in measured.tables
    assert measured.why_absent("pairs", "rows") == "train and another split could not be read"


def test_with_an_empty_train_split_nothing_is_shared(tmp_path: Path) -> None:
    measured, _ = pairs(tmp_path, {"train": [], "valid": SPLIT})
    line = lines_of(measured, "pairs")["valid in train"]
    assert [line[name] for name in ("shared_users", "identical_rows", "copied_rows")] == [0, 0, 0]


def test_reading_train_twice_does_not_count_its_gaps_twice(tmp_path: Path) -> None:
    _, found = pairs(tmp_path, {"train": [Row(1, 10, (3, None, 5))], "valid": [Row(1, 5, ())]})
    assert (found.sources["train"].nulls, found.sources["train"].null_columns) == (1, {"item_seq": 1})


def test_the_same_item_may_be_shown_to_the_same_user_again_at_another_time(tmp_path: Path) -> None:
    shown = [Row(1, 10, (3, 4, 5), time=100), Row(2, 12, (7, 8, 9), time=100)]
    later = [
        Row(1, 10, (3, 4, 5), time=200),  # shown again
        Row(2, 12, (7, 8, 9), time=100),  # a row of train
        Row(9, 10, (3, 4, 5), time=200),  # a copy under another user
    ]
    measured, _ = pairs(tmp_path, {"train": shown, "valid": later})
    (line,) = lines_of(measured, "pairs").values()
    assert line["identical_rows"] == 1
    assert line["copied_rows"] == 1 / 3
