"""Rows moved aside: which, why, and that they are the very rows of the file."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from components.dataset import layout
from components.storage.files import read_json
from components.validate.contract import open_dataset
from components.validate.measured import Flagged
from components.validate.quarantine import write_quarantine
from tests.unit.validate.small_data import Row, read

RULES = {"duplicate": "rows-distinct", "target_unknown": "target-known"}


def moved(folder: Path, unlabelled: tuple[str, ...] = ()) -> Any:
    rows = [Row(user, user % 3 + 1, (user,), label=user % 2) for user in range(10)]
    found = read(folder, {1: [1], 2: [1], 3: [1]}, unlabelled, train=rows, valid=rows[:2], test=rows[:4])
    flagged = Flagged(frozenset(RULES))
    flagged.add("train", "duplicate", np.array([7, 2]))
    flagged.add("train", "target_unknown", np.array([2]))
    flagged.add("train", "user_negative", np.array([5]))  # a rule whose rows stay
    flagged.add("test", "target_unknown", np.array([3]))
    counts = write_quarantine(found.sources, flagged, RULES, folder / "out")
    return counts, folder / "out"


def test_the_numbers_of_each_split_are_kept_in_order_and_once(tmp_path: Path) -> None:
    counts, out = moved(tmp_path)
    assert counts == {"train": 2, "valid": 0, "test": 1}
    assert read_json(out / "quarantine.json") == {"train": [2, 7], "valid": [], "test": [3]}


def test_the_rows_are_kept_whole_with_the_rules_that_they_broke(tmp_path: Path) -> None:
    _, out = moved(tmp_path, ("test",))
    rows = pq.read_table(out / "quarantine.parquet").to_pylist()
    assert [(row["split"], row["row"], row["rules"], row[layout.USER], row[layout.LABEL]) for row in rows] == [
        ("train", 2, ["rows-distinct", "target-known"], 2, 0),
        ("train", 7, ["rows-distinct"], 7, 1),
        ("test", 3, ["target-known"], 3, None),
    ]
    assert list(rows[0])[:3] == ["split", "row", "rules"]
    assert rows[1][layout.HISTORY] == [7]


def test_rows_in_any_batch_of_the_file_are_found(tmp_path: Path) -> None:
    rows = [Row(user, 1, (1,)) for user in range(20)]
    read(tmp_path, {1: [1]}, train=rows)
    pq.write_table(pq.read_table(tmp_path / "train.parquet"), tmp_path / "train.parquet", row_group_size=4)
    flagged = Flagged(frozenset(RULES))
    flagged.add("train", "duplicate", np.array([0, 3, 4, 11, 19]))
    write_quarantine(open_dataset(tmp_path), flagged, RULES, tmp_path / "out")
    kept = pq.read_table(tmp_path / "out" / "quarantine.parquet")
    assert kept["row"].to_pylist() == kept[layout.USER].to_pylist() == [0, 3, 4, 11, 19]


def test_without_such_rows_no_table_is_written(tmp_path: Path) -> None:
    found = read(tmp_path, {1: [1]}, train=[Row(1, 1)])
    assert write_quarantine(found.sources, Flagged(frozenset(RULES)), RULES, tmp_path / "out")["train"] == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["quarantine.json"]
