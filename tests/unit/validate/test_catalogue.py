"""What item_feature says about each id, and the tables that are measured of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.dataset import layout
from components.schema.declared import CHALLENGE_SCHEMA
from components.validate.catalogue import Catalogue, read_items
from components.validate.contract import open_dataset
from components.validate.measured import Measured
from tests.unit.validate.small_data import lines_of


def catalogue(folder: Path, highest: int = 100, **columns: Any) -> tuple[Catalogue, Measured]:
    count = len(columns["ids"])
    table = {
        layout.ITEM: pa.array(columns["ids"], pa.int64()),
        layout.TITLE: pa.array(columns.get("titles", [f"title {i}" for i in range(count)]), pa.string()),
        layout.TAGS: columns.get("tags", pa.array([[1]] * count, pa.list_(pa.int64()))),
        layout.LIKES: pa.array(columns.get("likes", [1] * count), pa.int64()),
        layout.VIEWS: pa.array(columns.get("views", [2] * count), pa.int64()),
    }
    pq.write_table(pa.table(table), folder / "item_feature.parquet")
    measured = Measured()
    return read_items(open_dataset(folder)["item_feature"], CHALLENGE_SCHEMA, highest, measured), measured


def levels(likes: Any, views: Any) -> dict[str, Any]:
    return {layout.LIKES: likes, layout.VIEWS: views}


def test_ids_are_looked_up_wherever_they_stand_in_the_file(tmp_path: Path) -> None:
    made, _ = catalogue(tmp_path, ids=[0, 7, 3], likes=[0, 5, 10], views=[0, 1, 4])
    asked = np.array([3, 7, 0, 1, -1, 8, 10**12])
    assert made.readable
    assert made.knows(asked).tolist() == [True, True, True, False, False, False, False]
    assert made.place(asked).tolist() == [2, 1, 0, -1, -1, -1, -1]
    assert len(made.places) == len(made.levels[layout.LIKES]) == 8


def test_levels_that_differ_from_the_items_are_found_for_known_items_alone(tmp_path: Path) -> None:
    made, _ = catalogue(tmp_path, ids=[1, 2], likes=[5, 0], views=[6, 0])
    ids, likes, views = np.array([1, 1, 1, 2, 9, -1]), np.array([5, 4, 5, 0, 5, 5]), np.array([6, 6, 7, 0, 6, 6])
    assert made.levels_differ(ids, levels(likes, views)).tolist() == [False, True, True, False, False, False]


def test_a_level_out_of_range_is_no_unknown_item(tmp_path: Path) -> None:
    made, measured = catalogue(tmp_path, ids=[1, 2, 3, 4, 5], likes=[-1, 11, 0, 10, 5], views=[0, 10, -1, 11, 5])
    assert made.knows(np.arange(1, 6)).all()
    assert made.levels[layout.LIKES].tolist() == [-1, 11, 11, 0, 10, 5]
    assert made.levels[layout.VIEWS].tolist() == [-1, 0, 10, 11, 11, 5]
    out = {name: line["level_out_of_range"] for name, line in lines_of(measured, "items").items()}
    assert out == {"1": 1, "2": 1, "3": 1, "4": 1, "5": 0}


@pytest.mark.parametrize(("highest", "known"), [(2, [True, True, False]), (3, [True, True, True]), (0, [False] * 3)])
def test_ids_above_the_limit_are_left_out_of_the_table(tmp_path: Path, highest: int, known: list[bool]) -> None:
    made, _ = catalogue(tmp_path, highest, ids=[1, 2, 3])
    assert made.knows(np.array([1, 2, 3])).tolist() == known
    assert len(made.places) == (highest + 1 if any(known) else 0)


def test_agreement_is_the_smaller_of_both_correlations_over_known_items(tmp_path: Path) -> None:
    made, _ = catalogue(tmp_path, ids=[1, 2, 3], likes=[1, 2, 3], views=[3, 9, 4])
    ids, likes, views = np.array([1, 2, 3, 3, 9]), np.array([2, 2, 3, 1, 7]), np.array([3, 8, 5, 4, 0])
    known = ids < 9
    expected = [
        np.corrcoef(np.array([0, 1, 2, 3])[ids[known]], likes[known])[0, 1],
        np.corrcoef(np.array([0, 3, 9, 4])[ids[known]], views[known])[0, 1],
    ]
    assert made.level_agreement(ids, levels(likes, views)) == pytest.approx(min(expected))
    assert min(expected) != pytest.approx(max(expected))
    constant = np.full(5, 4)
    assert made.level_agreement(ids, levels(constant, views)) == pytest.approx(expected[1])
    assert np.isnan(made.level_agreement(ids, levels(constant, constant)))
    assert np.isnan(made.level_agreement(np.array([9]), levels(np.array([1]), np.array([1]))))


def test_items_are_described_without_the_padding_row(tmp_path: Path) -> None:
    tags = pa.array([[0], [1, 2], [2, 1, 0], [-3, 4], [], [5]], pa.list_(pa.int64()))
    titles = ["same", "same", "same", "other", None, " "]
    made, measured = catalogue(tmp_path, ids=[0, 1, 2, 3, 4, 5], tags=tags, titles=titles)
    lines = lines_of(measured, "items")
    assert set(lines) == {"1", "2", "3", "4", "5"}
    assert [line["tags"] for line in lines.values()] == [2, 2, 2, 0, 1]
    assert [line["bad_tags"] for line in lines.values()] == [0, 0, 1, 0, 0]
    assert [line[layout.TITLE] for line in lines.values()] == ["same", "same", "other", "", " "]
    assert lines_of(measured, "items_whole") == {
        "item_feature": {
            "of": "item_feature",
            "items": 5,
            "top_title_share": 2 / 5,
            "top_tags_share": pytest.approx(0.2),
        }
    }
    assert [made.tag_names[code] for code in made.tag_codes] == ["0", "1", "2", "2", "1", "0", "-3", "4", "5"]
    assert made.tag_counts.tolist() == [1, 2, 3, 2, 0, 1]


def test_the_same_tags_in_another_order_are_the_same_set(tmp_path: Path) -> None:
    tags = pa.array([[1, 2], [2, 1], [1], [2]], pa.list_(pa.int64()))
    _, measured = catalogue(tmp_path, ids=[1, 2, 3, 4], tags=tags)
    assert lines_of(measured, "items_whole")["item_feature"]["top_tags_share"] == 2 / 4


def test_tags_as_texts_may_not_be_blank(tmp_path: Path) -> None:
    tags = pa.array([["a", ""], [" ", "\t", None], ["a b"], []], pa.list_(pa.string()))
    made, measured = catalogue(tmp_path, ids=[1, 2, 3, 4], tags=tags)
    assert [line["bad_tags"] for line in lines_of(measured, "items").values()] == [1, 3, 0, 0]
    assert made.tag_names[:2] == ["a", ""]


def test_a_file_that_cannot_be_read_leaves_an_empty_catalogue_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "item_feature.parquet").write_bytes(b"noise")
    measured = Measured()
    made = read_items(open_dataset(tmp_path)["item_feature"], CHALLENGE_SCHEMA, 10, measured)
    assert not made.readable
    assert not made.knows(np.array([0, 1])).any()
    assert made.place(np.array([0, 1])).tolist() == [-1, -1]
    assert measured.absent == dict.fromkeys(("items", "items_whole"), "item_feature.parquet could not be read")


def test_a_file_without_rows_says_so(tmp_path: Path) -> None:
    made, measured = catalogue(tmp_path, ids=[])
    assert not made.readable
    assert measured.absent == {"items": "item_feature.parquet has no row that can be read"}
