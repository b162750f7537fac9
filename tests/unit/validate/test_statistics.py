"""What travels with the model, counted by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.dataset import layout
from components.dataset.item_ids import unpack_ids
from components.validate.features import Features
from components.validate.measured import Flagged, Measured
from components.validate.statistics import collect, item_counts, tag_counts
from components.validate.vectors import Vectors
from tests.unit.validate.small_data import Row, read

TRAIN = [
    Row(1, 1, (2, 3), label=1, likes=0, views=10),
    Row(1, 1, (), label=0, likes=10, views=10),
    Row(2, 2, (3,), label=0, likes=-5, views=99),  # beyond the range: counted in the nearest level
    Row(3, 9, (3,), label=0, likes=3, views=4),  # an item that the table does not know
]
NOTHING_FLAGGED = Flagged(frozenset())
TAGS = {1: [7, 0], 2: [8, 7], 3: [9]}


def test_train_is_described_and_the_other_splits_are_counted(tmp_path: Path) -> None:
    found = read(tmp_path, TAGS, ("test",), train=TRAIN, valid=TRAIN[:1], test=TRAIN[:2])
    vectors, empty = Vectors("txt"), Vectors("img")
    vectors.add(np.array([1, 2]), np.array([0.0, 1.0, 2.0, 5.0]), np.array([2, 2]))
    measured = Measured()
    measured.tables["baselines"] = pd.DataFrame({"baseline": ["a", "b"], "auc": [0.75, np.nan]})
    statistics = collect(found.splits, found.catalogue, [vectors, empty], Features(), NOTHING_FLAGGED, measured)
    train = statistics.pop("train")
    assert statistics == {
        "format": 1,
        "rows": {"train": 4, "valid": 1, "test": 2},
        "users": {"train": 3, "valid": 1, "test": 1},
        "label_rate": {"train": 1 / 4, "valid": 1.0},
        "items": 3,
        "embeddings": {"txt": {"mean": [1.0, 3.0], "spread": pytest.approx(np.sqrt(1 + 4)), "vectors": 2}},
        "baselines": {"a": 0.75},
        "features": {},
        "pairs": {},  # four rows are too few
    }
    assert unpack_ids(train.pop("items_seen")).tolist() == [1, 2]
    assert train == {
        layout.LIKES: [2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1],
        layout.VIEWS: [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 3],
        "history_length": [1, 2, 1, *[0] * 98],
        "tags": {"top": {"7": 3, "8": 1}, "other": 0},
        "items": {"top": {"1": 2, "2": 1, "9": 1}, "other": 0},
    }


def test_without_rows_in_train_nothing_is_described(tmp_path: Path) -> None:
    found = read(tmp_path, TAGS, train=[], valid=TRAIN)
    statistics = collect(found.splits, found.catalogue, [], Features(), NOTHING_FLAGGED, Measured())
    assert "train" not in statistics
    assert statistics["baselines"] == {}
    assert statistics["label_rate"] == {"valid": 1 / 4}
    del found.splits["train"]
    assert "train" not in collect(found.splits, found.catalogue, [], Features(), NOTHING_FLAGGED, Measured())


def test_rows_are_counted_by_item_and_by_tag(tmp_path: Path) -> None:
    found = read(tmp_path, TAGS, train=TRAIN)
    assert item_counts(found.splits["train"]) == {"1": 2, "2": 1, "9": 1}
    assert tag_counts(found.splits["train"], found.catalogue) == {"7": 3, "8": 1}
    assert tag_counts(found.splits["train"], read(tmp_path, {1: []}, train=TRAIN).catalogue) == {}


def test_200_items_are_counted_by_name_the_most_frequent_first(tmp_path: Path) -> None:
    """Items 1 to 203; items 203 and 202 have two rows each, the others one."""
    rows = [Row(1, item) for item in [*range(1, 204), 203, 202]]
    found = read(tmp_path, {item: [1] for item in range(1, 204)}, train=rows)
    items = collect(found.splits, found.catalogue, [], Features(), NOTHING_FLAGGED, Measured())["train"]["items"]
    names = list(items["top"])
    assert names[:4] == ["202", "203", "1", "10"], "equal ones are in the order of their names"
    assert (len(names), items["other"]) == (200, 3)
    assert sum(items["top"].values()) + items["other"] == len(rows)
