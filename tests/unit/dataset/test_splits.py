"""Rows that choose the epoch never measure the model."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.dataset.layout import LABEL, USER, split_path
from components.dataset.splits import measured_split, measuring_left_out, stopping_left_out
from components.errors import StepError


def write(folder: Path, users: np.ndarray, labelled_test: bool, clicked: np.ndarray | None = None) -> Path:
    labels = np.arange(len(users)) % 2 if clicked is None else clicked
    columns = {USER: users.astype(np.int64), LABEL: labels.astype(np.int64)}
    pq.write_table(pa.table(columns), split_path(folder, "valid"))
    pq.write_table(pa.table(columns if labelled_test else {USER: columns[USER]}), split_path(folder, "test"))
    return folder


@pytest.mark.parametrize(
    "users",
    [
        pytest.param(np.arange(2000) // 4, id="numbered"),
        pytest.param(np.arange(2000) // 4 * 1000, id="thousands"),
        pytest.param(-(np.arange(2000) // 4) - 1, id="negative"),
        pytest.param(np.random.default_rng(1).integers(-(2**63), 2**63, 500).repeat(4), id="any-64-bits"),
    ],
)
def test_without_labels_in_test_the_users_of_valid_are_halved(tmp_path: Path, users: np.ndarray) -> None:
    folder, faulty = write(tmp_path, users, labelled_test=False), {"valid": [0, 7], "train": [1]}
    rows = set(range(2000))
    stopping = rows - set(stopping_left_out(folder, faulty))
    measuring = rows - set(measuring_left_out(folder, faulty))
    assert measured_split(folder)[0] == "valid"
    assert stopping | measuring == rows - {0, 7}
    assert not {users[row] for row in stopping} & {users[row] for row in measuring}, "a user is on one side only"
    assert 0.4 < len(stopping) / 2000 < 0.6


def test_a_user_stays_on_its_side_whoever_else_is_there(tmp_path: Path) -> None:
    """Night after night the same users measure, so that champion and candidate never swap their roles."""
    sides = []
    for first in (0, 100):
        (tmp_path / str(first)).mkdir()
        users = np.arange(first, first + 400).repeat(2)
        folder = write(tmp_path / str(first), users, labelled_test=False)
        left_out = measuring_left_out(folder, {})
        sides.append({int(users[row]) for row in left_out if 100 <= users[row] < 400})
    assert sides[0] == sides[1]


def test_with_labels_in_test_all_of_valid_stops_and_all_of_test_measures(tmp_path: Path) -> None:
    folder = write(tmp_path, np.arange(40), labelled_test=True)
    assert measured_split(folder)[0] == "test"
    assert stopping_left_out(folder, {"valid": [3]}) == [3]
    assert measuring_left_out(folder, {"valid": [3], "test": [5, 6]}) == [5, 6]


@pytest.mark.parametrize(
    ("users", "clicked"),
    [
        pytest.param(np.zeros(40), None, id="one-user"),
        pytest.param(np.arange(40), np.zeros(40), id="no-clicks"),
    ],
)
def test_a_half_without_both_labels_is_refused(tmp_path: Path, users: np.ndarray, clicked: np.ndarray | None) -> None:
    folder = write(tmp_path, users, labelled_test=False, clicked=clicked)
    with pytest.raises(StepError, match=r"that half has \d+ clicks among \d+ rows; it needs two of each"):
        stopping_left_out(folder, {}), measuring_left_out(folder, {})
