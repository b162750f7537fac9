"""The arithmetic over histories that lie one after another in one array, against the same computation row by row."""

import numpy as np
import pytest

from components.validate.rows import Clicks, shortened

ROWS = {
    "padded": [0, 0, 5, 6],
    "full": [1, 2, 3, 4],
    "empty list": [],
    "only padding": [0, 0, 0, 0],
    "right-padded": [7, 8, 0, 0],
    "hole": [0, 7, 0, 8],
    "wide": [0] * 6 + [5, 6],
    "one": [9],
}


def clicks_of(rows: list[list[int]]) -> Clicks:
    return Clicks.of(np.array([v for row in rows for v in row], np.int64), np.array([len(row) for row in rows]))


@pytest.mark.parametrize("name", ROWS)
def test_a_row_reads_the_same_alone_and_among_others(name: str) -> None:
    alone, among = clicks_of([ROWS[name]]), clicks_of(list(ROWS.values()))
    place = list(ROWS).index(name)
    assert among.hashes()[place] == alone.hashes()[0]
    assert among.per_row[place] == alone.per_row[0] == sum(item != 0 for item in ROWS[name])
    assert among.first[place] == alone.first[0]


@pytest.mark.parametrize(
    ("name", "left_padded"),
    [("padded", True), ("full", True), ("right-padded", False), ("hole", False), ("wide", True)],
)
def test_left_padding_is_told_from_the_first_entry_and_their_number(name: str, left_padded: bool) -> None:
    clicks = clicks_of([ROWS[name]])
    assert (clicks.first[0] == clicks.widths[0] - clicks.per_row[0]) is np.bool_(left_padded)


def test_padding_does_not_change_the_hash_but_order_and_items_do() -> None:
    hashes = clicks_of([[0, 0, 5, 6], [5, 6], [6, 5], [5, 7], [0, 5]]).hashes()
    assert hashes[0] == hashes[1]
    assert len(set(hashes.tolist())) == 4


def test_rows_where_marks_rows_with_any_such_entry() -> None:
    clicks = clicks_of([[0, 3, 4], [], [4, 4, 9], [1]])
    assert clicks.rows_where(clicks.items == 4).tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("history", "text"),
    [
        ([0, 0, 0, 4, 5], "[3 x 0, 4, 5]"),
        ([1, 2], "[1, 2]"),
        ([0] * 100, "[100 x 0]"),
        ([0, 1, None], "[0, 1, None]"),
        (list(range(1, 21)), "[1, 2, 3, 4, 5, 6, …, 16, 17, 18, 19, 20]"),
    ],
)
def test_histories_are_shown_short(history: list[int | None], text: str) -> None:
    assert shortened(history) == text
