"""The distance from the champion's data, each number against one worked out by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.dataset.item_ids import pack_ids
from components.storage.files import write_json
from components.validate.drift import ks, measure_drift, psi
from components.validate.features import Features
from components.validate.measured import Measured
from tests.unit.validate.small_data import Row, lines_of, read

TRAIN = [Row(1, 1), Row(1, 1), Row(2, 2), Row(3, 4)]  # items 1 and 2 have tag 7, item 4 has tag 9


def statistics(**changes: Any) -> dict[str, Any]:
    train = {
        "likes_level": [0, 40],
        "views_level": [10, 30],
        "history_length": [10, 0, 30],
        "tags": {"top": {"7": 60}, "other": 40},
        "items": {"top": {"1": 30, "2": 10}, "other": 0},
        "items_seen": pack_ids(np.array([1, 2])),
    }
    embeddings = {"txt": {"mean": [1.0, 2.0], "spread": 2.0}, "old": {"mean": [0.0], "spread": 1.0}}
    return {
        "format": 1,
        "train": train,
        "label_rate": {"train": 0.25, "valid": 0.5},
        "embeddings": embeddings,
        **changes,
    }


def now() -> dict[str, Any]:
    moved = {"likes_level": [20, 20], "views_level": [10, 30], "history_length": [10, 30, 0]}
    embeddings = {"txt": {"mean": [4.0, 6.0], "spread": 9.0}, "new": {"mean": [0.0], "spread": 1.0}}
    return statistics(label_rate={"train": 0.2, "valid": 0.9}, embeddings=embeddings) | {"train": moved}


def champion_of(folder: Path, before: Any) -> Path:
    """A champion that left these statistics; None: there is no champion."""
    write_json(folder / "champion.json", {"version": None if before is None else "3"})
    write_json(folder / "package" / "statistics.json", before)
    return folder


def drift(folder: Path, before: Any, after: Any) -> Measured:
    found = read(folder, {1: [7], 2: [7], 4: [9]}, train=TRAIN)
    measured = Measured()
    measure_drift(
        champion_of(folder / "champion", before), after, found.splits["train"], found.catalogue, Features(), measured
    )
    return measured


def expected_psi(before: list[int], after: list[int]) -> float:
    """The sum over bins, half a row added to each, less its mean under no drift."""
    p = [(count + 0.5) / (sum(before) + len(before) / 2) for count in before]
    q = [(count + 0.5) / (sum(after) + len(after) / 2) for count in after]
    index = sum((b - a) * np.log(b / a) for a, b in zip(p, q, strict=True))
    return float(max(0.0, index - (len(p) - 1) * (1 / sum(before) + 1 / sum(after))))


def test_every_feature_is_compared_in_its_own_measure(tmp_path: Path) -> None:
    lines = lines_of(drift(tmp_path, statistics(), now()), "drift")
    assert {name: line["value"] for name, line in lines.items()} == pytest.approx(
        {
            "likes_level": expected_psi([0, 40], [20, 20]),
            "views_level": 0.0,
            "tags": expected_psi([60, 40], [3, 1]),  # three rows show an item of tag 7
            "items": expected_psi([30, 10, 0], [2, 1, 1]),
            "history length": 0.75,  # of the rows had two clicks, and have one now
            "unseen items": 0.25,  # item 4
            "label rate": 0.05,
            "txt": 2.5,  # the means are 5 apart, in units of the champion's spread of 2
        }
    )
    columns = {
        "likes_level": "likes",
        "views_level": "views",
        "tags": "tags",
        "items": "items",
        "history length": "length",
        "unseen items": "unseen_items",
        "label rate": "label_rate",
        "txt": "embedding",
    }
    for name, column in columns.items():
        assert lines[name][column] == lines[name]["value"], "the rules read the column of their own feature"


def test_psi_takes_off_what_chance_gives_and_is_never_below_zero() -> None:
    assert psi([10, 30], [25, 15]) == pytest.approx(expected_psi([10, 30], [25, 15]), abs=1e-12)
    assert expected_psi([10, 30], [25, 15]) > 0.3
    assert psi([10, 30], [10, 30]) == 0.0
    assert psi([0, 0], [0, 0]) == 0.0


def test_ks_of_nothing_is_nothing() -> None:
    assert ks([0, 0], [0, 0]) == 0.0
    assert ks([4, 0, 0], [0, 0, 4]) == 1.0
    assert ks([1, 0], [0, 0]) == 1.0


@pytest.mark.parametrize("missing", ["before", "now"])
def test_a_rate_that_one_side_lacks_is_left_out(tmp_path: Path, missing: str) -> None:
    before, after = statistics(), now()
    (before if missing == "before" else after)["label_rate"] = {"valid": 0.5}
    assert "label rate" not in lines_of(drift(tmp_path, before, after), "drift")


def test_vectors_that_only_one_side_has_are_not_compared(tmp_path: Path) -> None:
    measured = drift(tmp_path, statistics(embeddings={}), now())
    assert measured.why_absent("drift", "embedding") == "no vectors come with this data and with the champion's"


@pytest.mark.parametrize(
    ("before", "distance"),
    [
        ({"mean": [4.0, 6.0], "spread": 0.0}, 0.0),
        ({"mean": [4.0], "spread": 2.0}, 1e6),
        ({"mean": [4.0, 6.001], "spread": 0.0}, 1e6),
    ],
    ids=["alike without spread", "another width", "apart without spread"],
)
def test_a_distance_is_a_number_whatever_the_vectors_are(tmp_path: Path, before: Any, distance: float) -> None:
    measured = drift(tmp_path, statistics(embeddings={"txt": before}), now())
    assert lines_of(measured, "drift")["txt"]["embedding"] == pytest.approx(distance)


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    assert drift(tmp_path, None, now()).absent == {"drift": "there is no champion yet to compare with"}
    unread = {"drift": "train could not be read"}
    assert drift(tmp_path, statistics(), {"label_rate": {}}).absent == unread
    measured = Measured()
    found = read(tmp_path, {1: [7]}, train=TRAIN)
    measure_drift(champion_of(tmp_path / "champion", statistics()), now(), None, found.catalogue, Features(), measured)
    assert measured.absent == unread


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"format": 1}, "'train'"),
        ({"format": 2, "train": {}}, "has format 2, and this version of mmctr reads 1"),
        ({"train": {}}, "has format None, and this version of mmctr reads 1"),
        (statistics(label_rate=None), "NoneType"),
    ],
    ids=["no train", "another format", "no format", "no label rate"],
)
def test_statistics_that_cannot_be_used_are_named_and_stop_nothing(tmp_path: Path, content: Any, said: str) -> None:
    absent = drift(tmp_path, content, now()).absent
    assert list(absent) == ["drift"]
    assert absent["drift"].startswith("no statistics of the champion: ")
    assert said in absent["drift"]
