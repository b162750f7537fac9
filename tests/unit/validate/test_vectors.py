"""Vectors that come with the data, against numpy on all of them at once."""

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
from components.validate.vectors import Vectors, measure_item_info, measure_vectors
from tests.unit.validate.small_data import lines_of

COUNT, WIDTH = 30, 5


def values() -> Any:
    made = np.random.default_rng(3).normal(2.0, 3.0, (COUNT, WIDTH))
    made[4] = made[9] = made[20]
    made[7] = 0.0
    made[:, 2] = 1.5
    made[7, 2] = 0.0
    return made


def summed(rows: Any, parts: int = 1, ids: Any = None) -> Vectors:
    vectors = Vectors("txt")
    numbers = np.arange(len(rows)) if ids is None else np.asarray(ids)
    for some in np.array_split(np.arange(len(rows)), parts):
        vectors.add(numbers[some], rows[some].reshape(-1), np.full(len(some), rows.shape[1]))
    return vectors


@pytest.mark.parametrize("parts", [1, 3])
def test_a_column_is_summed_up_in_any_number_of_parts(parts: int) -> None:
    vectors = summed(values(), parts)
    np.testing.assert_allclose(vectors.mean, values().mean(axis=0))
    assert vectors.spread == pytest.approx(np.sqrt(values().var(axis=0).sum()))
    assert vectors.line() == {
        "column": "txt",
        "width": WIDTH,
        "vectors": COUNT,
        "not_finite": 0,
        "wrong_width": 0,
        "zero_share": 1 / COUNT,
        "top_vector_share": 3 / COUNT,
        "constant_dimensions_share": 0.0,  # the third is 1.5 everywhere but in the zero vector
    }


def test_a_dimension_that_is_the_same_everywhere_is_constant() -> None:
    assert summed(np.delete(values(), 7, axis=0)).line()["constant_dimensions_share"] == 1 / WIDTH


def test_what_is_not_finite_or_absurd_is_counted_named_and_left_out() -> None:
    rows = values()
    rows[1, 0], rows[2, 1], rows[3, 2], rows[5, 4], rows[6, 4] = np.nan, np.inf, -np.inf, 1e6, -1e6
    rows[8, 0] = 999_999.0
    vectors = summed(rows, ids=np.arange(100, 100 + COUNT))
    assert (vectors.not_finite, vectors.rows) == (5, COUNT - 5)
    assert vectors.bad_items == [101, 102, 103, 105, 106]
    kept = np.delete(rows, [1, 2, 3, 5, 6], axis=0)
    np.testing.assert_allclose(vectors.mean, kept.mean(axis=0))


def test_ten_bad_items_of_each_part_are_named() -> None:
    rows = np.full((25, 2), np.nan)
    vectors = summed(rows, 2)
    assert vectors.bad_items == [*range(10), *range(13, 23)]
    line = vectors.line()
    assert (line["vectors"], line["not_finite"]) == (0, 25)
    assert all(np.isnan(line[name]) for name in ("zero_share", "top_vector_share", "constant_dimensions_share"))
    assert (vectors.mean.tolist(), vectors.spread) == ([0.0, 0.0], 0.0)


def test_the_width_is_that_of_most_vectors_of_the_first_part() -> None:
    vectors = Vectors("txt")
    vectors.add(np.arange(4), np.arange(1.0, 10.0), np.array([2, 3, 2, 2]))
    vectors.add(np.arange(4, 6), np.arange(5.0), np.array([3, 2]))
    assert (vectors.width, vectors.rows, vectors.wrong_width) == (2, 4, 2)
    np.testing.assert_array_equal(np.concatenate(vectors.ids), [0, 2, 3, 5])
    np.testing.assert_allclose(vectors.total, [1 + 6 + 8 + 3, 2 + 7 + 9 + 4])


def test_lists_without_numbers_are_of_a_wrong_width() -> None:
    vectors = Vectors("txt")
    vectors.add(np.arange(3), np.zeros(0), np.zeros(3, np.int64))
    assert (vectors.rows, vectors.wrong_width) == (0, 3)


def test_one_vector_or_zeros_alone_are_not_called_alike() -> None:
    line = summed(np.zeros((3, 2))).line()
    assert line["zero_share"] == 1.0
    assert np.isnan(line["top_vector_share"])
    assert np.isnan(line["constant_dimensions_share"])
    one = summed(np.ones((1, 2))).line()
    assert one["top_vector_share"] == 1.0
    assert np.isnan(one["constant_dimensions_share"])
    assert summed(np.ones((2, 2))).line()["constant_dimensions_share"] == 1.0


@pytest.mark.parametrize("width", [5, 64, 300])
def test_similarity_is_nearly_the_cosine_of_the_centred_vectors(width: int) -> None:
    rows = np.random.default_rng(8).normal(size=(400, width)) + np.random.default_rng(9).normal(size=(400, 1))
    order = np.random.default_rng(10).permutation(400)
    vectors = summed(rows[order], 2, ids=order + 50)
    first, second = np.arange(50, 250), np.arange(250, 450)
    centred = rows - rows.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    cosines = (unit[:200] * unit[200:]).sum(axis=1)
    assert np.corrcoef(vectors.similarity(first, second), cosines)[0, 1] > 0.6
    np.testing.assert_allclose(vectors.similarity(first, first), 1.0)
    np.testing.assert_allclose(vectors.similarity(first, second), vectors.similarity(second, first))


def test_an_item_without_a_vector_resembles_nothing() -> None:
    vectors = summed(values(), ids=np.arange(10, 10 + COUNT))
    found = vectors.similarity(np.array([9, 10, 10, 39, 40]), np.array([10, 9, 10, 39, 10]))
    np.testing.assert_array_equal(np.isnan(found), [True, True, False, False, True])


def dataset(folder: Path, **columns: Any) -> dict[str, Any]:
    count = 3
    items = {
        layout.ITEM: pa.array(range(count), pa.int64()),
        layout.TITLE: ["", "a", "b"],
        layout.TAGS: pa.array([[0], [5, 7], [7]], pa.list_(pa.int64())),
        layout.LIKES: pa.array([1] * count, pa.int64()),
        layout.VIEWS: pa.array([1] * count, pa.int64()),
    }
    info = columns.pop("info", None)
    pq.write_table(pa.table({**items, **columns}), folder / "item_feature.parquet")
    if info is not None:
        pq.write_table(pa.table(info), folder / "item_info.parquet")
    return open_dataset(folder)


def test_columns_of_vectors_are_measured_without_the_padding_item(tmp_path: Path) -> None:
    floats = pa.list_(pa.float32())
    text = pa.array([[9.0, 9.0], [1.0, 2.0], [np.nan, 0.0]], floats)
    sources, measured = dataset(tmp_path, **{layout.TEXT_EMBEDDING: text}), Measured()
    (found,) = measure_vectors(sources, measured)
    assert found.mean.tolist() == [1.0, 2.0]
    line = lines_of(measured, "embeddings")[layout.TEXT_EMBEDDING]
    assert (line["vectors"], line["not_finite"]) == (1, 1)
    assert measured.counts["embeddings.not_finite"] == 1
    assert measured.examples["embeddings.not_finite"] == [{"column": layout.TEXT_EMBEDDING, "item_id": 2}]


def test_without_vectors_nothing_is_measured_and_that_is_said(tmp_path: Path) -> None:
    measured = Measured()
    assert measure_vectors(dataset(tmp_path), measured) == []
    assert measured.absent == {"embeddings": "the dataset has no precomputed vectors: they are optional"}


def item_info(folder: Path, ids: Any, tags: Any, **items: Any) -> Measured:
    vectors = pa.array([[1.0]] * len(ids), pa.list_(pa.float32()))
    info = {
        layout.ITEM: pa.array(ids, pa.int64()),
        layout.TAGS: pa.array(tags, pa.list_(pa.int64())),
        layout.ITEM_EMBEDDING: vectors,
    }
    sources, measured = dataset(folder, info=info, **items), Measured()
    measure_item_info(sources, read_items(sources["item_feature"], CHALLENGE_SCHEMA, 100, Measured()), measured)
    return measured


@pytest.mark.parametrize(
    ("ids", "problem"),
    [
        ([0, 1, 2], ""),
        ([0, 1, 2, 3], ""),
        ([0, 2, 1], "row 1 holds item 2 (2 of 3 rows are not their item's)"),
        ([0, 1], "ends at item 1, item_feature at 2"),
    ],
)
def test_row_i_of_item_info_is_item_i_up_to_the_last_item(tmp_path: Path, ids: list[int], problem: str) -> None:
    measured = item_info(tmp_path, ids, [[0]] * len(ids))
    line = measured.tables["item_info"].to_dict("records")[0]
    assert (line["file"], line["rows"], line["rows_problem"]) == ("item_info.parquet", len(ids), problem)


@pytest.mark.parametrize(
    ("tags", "share"),
    [
        ([[0, 0], [5, 7], [0, 7]], 0.0),
        ([[0], [7, 5, 0], [7]], 0.0),  # another order, padding
        ([[9], [5, 7], [7]], 0.0),  # the padding item is not compared
        ([[0], [5, 7], [8]], 0.5),
        ([[0], [5], [8]], 1.0),
        ([[0], [5, 7, 7], [7]], 0.5),
    ],
)
def test_tags_of_item_info_are_compared_as_sets(tmp_path: Path, tags: Any, share: float) -> None:
    measured = item_info(tmp_path, [0, 1, 2], tags)
    assert measured.tables["item_info"]["tags_mismatch_share"].tolist() == [share]


def test_tags_as_texts_are_not_compared_with_codes(tmp_path: Path) -> None:
    texts = pa.array([["a"], ["b"], ["c"]], pa.list_(pa.string()))
    measured = item_info(tmp_path, [0, 1, 2], [[0], [1], [2]], **{layout.TAGS: texts})
    assert "tags_mismatch_share" not in measured.tables["item_info"]
    assert measured.why_absent("item_info", "tags_mismatch_share").startswith("item_feature has tags as texts")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "item_info.parquet is optional: the embedding step makes it"),
        (b"noise", "item_info.parquet could not be read"),
    ],
)
def test_an_item_info_that_is_not_there_or_not_readable_is_said_so(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    if content:
        (tmp_path / "item_info.parquet").write_bytes(content)
    measured = Measured()
    measure_item_info(dataset(tmp_path), Catalogue(), measured)
    assert measured.absent == {"item_info": reason}


def test_an_item_info_without_rows_is_said_so(tmp_path: Path) -> None:
    assert item_info(tmp_path, [], []).absent == {"item_info": "item_info.parquet has no row that can be read"}
