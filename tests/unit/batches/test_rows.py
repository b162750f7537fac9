from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.batches import convert as convert_module
from components.batches import rows as rows_module
from components.batches.loader import Collator
from components.batches.rows import RowStore, gather_history, known_histories
from components.errors import StepError
from tests.tiny_training import write_rows


def expected_history(path: Path, length: int) -> np.ndarray:
    padded = np.zeros((pq.read_metadata(path).num_rows, length), dtype=np.int64)
    for row, history in enumerate(pq.read_table(path).column("item_seq").to_pylist()):
        real = [item for item in history if item][-length:]
        if real:
            padded[row, -len(real) :] = real
    return padded


@pytest.mark.parametrize("length", [1, 5, 12, 20])
def test_a_history_is_the_newest_items_padded_on_the_left(tmp_path: Path, length: int) -> None:
    write_rows(tmp_path / "train.parquet", 300)
    store = RowStore.build(tmp_path / "train.parquet", tmp_path / "cache")
    np.testing.assert_array_equal(store.history(length), expected_history(tmp_path / "train.parquet", length))
    some = np.array([7, 250, 7])
    np.testing.assert_array_equal(store.history(length, some), store.history(length)[some])


def test_columns_are_those_of_the_parquet(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.parquet", 300)
    table = pq.read_table(tmp_path / "train.parquet")
    store = RowStore.build(tmp_path / "train.parquet", tmp_path / "cache")
    columns = {
        "user_id": store.user,
        "item_id": store.item,
        "likes_level": store.codes[:, 0],
        "views_level": store.codes[:, 1],
    }
    for name, values in {**columns, "label": store.label}.items():
        np.testing.assert_array_equal(values, table.column(name).to_numpy(), err_msg=name)


def test_reading_in_pieces_gives_what_reading_at_once_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path / "train.parquet", 300)
    excluded = [0, 63, 64, 65, 299]
    whole = RowStore.build(tmp_path / "train.parquet", tmp_path / "whole", excluded)
    monkeypatch.setattr(convert_module, "ROWS_A_READ", 64)
    pieces = RowStore.build(tmp_path / "train.parquet", tmp_path / "pieces", excluded)
    assert whole.folder.name == pieces.folder.name
    for name in ("records", "history", "user", "events"):
        assert (whole.folder / name).read_bytes() == (pieces.folder / name).read_bytes()


def test_quarantined_rows_are_left_out(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.parquet", 300)
    whole = RowStore.build(tmp_path / "train.parquet", tmp_path / "cache")
    store = RowStore.build(tmp_path / "train.parquet", tmp_path / "cache", exclude=[299, 0, 17, 17])
    kept = np.setdiff1d(np.arange(300), [0, 17, 299])
    np.testing.assert_array_equal(store.user, whole.user[kept])
    np.testing.assert_array_equal(store.history(12), whole.history(12)[kept])


def test_a_second_build_opens_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path / "train.parquet", 30)
    first = RowStore.build(tmp_path / "train.parquet", tmp_path / "cache")
    monkeypatch.setattr(rows_module, "convert", lambda *_: pytest.fail("converted again"))
    assert RowStore.build(tmp_path / "train.parquet", tmp_path / "cache").folder == first.folder


def test_a_cut_file_is_converted_again(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.parquet", 30)
    first = RowStore.build(tmp_path / "train.parquet", tmp_path / "cache")
    content = (first.folder / "history").read_bytes()
    (first.folder / "history").write_bytes(content[:-4])
    RowStore.build(tmp_path / "train.parquet", tmp_path / "cache")
    assert (first.folder / "history").read_bytes() == content


def test_a_conversion_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    write_rows(tmp_path / "train.parquet", 30)
    monkeypatch.setattr(convert_module, "_write_columns", full)
    with pytest.raises(StepError, match=r"could not be written.*No space left"):
        RowStore.build(tmp_path / "train.parquet", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_padding_takes_no_space(tmp_path: Path) -> None:
    history = np.zeros((100, 100), dtype=np.int64)
    history[:, -2:] = 7
    zeros = np.zeros(100, dtype=np.int64)
    columns = {"user_id": zeros, "item_id": zeros + 1, "likes_level": zeros, "views_level": zeros, "label": zeros}
    pq.write_table(pa.table({**columns, "item_seq": pa.array(list(history))}), tmp_path / "train.parquet")
    store = RowStore.build(tmp_path / "train.parquet", tmp_path / "cache")
    assert (store.folder / "history").stat().st_size == 4 * (1 + 100 * 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"item_seq": None}, "no column 'item_seq'", id="column-missing"),
        pytest.param({"item_seq": [[1], None]}, "'item_seq' holds nulls", id="null-history"),
        pytest.param({"item_seq": [[1], [None]]}, "'item_seq' holds null items", id="null-item"),
        pytest.param({"item_id": [1, None]}, "'item_id' holds 1 nulls", id="null-id"),
        pytest.param(
            {"item_id": [1, -4]}, "'item_id' runs from -4 to 1; allowed is 0 to 9223372036854775807", id="negative-id"
        ),
        pytest.param(
            {"item_seq": [[0, 1], [2, -1]]},
            r"test_what.*/train\.parquet: column 'item_seq', row 1: item -1; ids are whole numbers from 0 on",
            id="negative-history",
        ),
        pytest.param({"label": [0, 2]}, "'label' runs from 0 to 2; allowed is 0 to 1", id="third-label"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(tmp_path: Path, change: dict[str, object], message: str) -> None:
    columns: dict[str, object] = {
        "user_id": [1, 2],
        "item_id": [1, 2],
        "item_seq": [[0, 1], [2, 1]],
        "likes_level": [1, 2],
        "views_level": [1, 2],
        "label": [0, 1],
    }
    columns = {name: values for name, values in {**columns, **change}.items() if values is not None}
    pq.write_table(pa.table(columns), tmp_path / "train.parquet")
    with pytest.raises(StepError, match=message):
        RowStore.build(tmp_path / "train.parquet", tmp_path / "cache")


def write_histories(path: Path, histories: pa.Array) -> None:
    ones = [1] * len(histories)
    columns = {"user_id": ones, "item_id": ones, "likes_level": ones, "views_level": ones, "item_seq": histories}
    pq.write_table(pa.table(columns), path)


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64()])
def test_an_id_too_large_to_store_stays_unknown(tmp_path: Path, kind: pa.DataType) -> None:
    """Four bytes hold an id: 2^32 + 7 must not turn into item 7, nor 2^31 into a negative one."""
    histories = pa.array([[7, 2**32 + 7], [2**31], [2**31 - 2, 2**62 + 3]], pa.list_(kind))
    write_histories(tmp_path / "rows.parquet", histories)
    store = RowStore.build(tmp_path / "rows.parquet", tmp_path / "cache")
    largest = 2**31 - 1
    np.testing.assert_array_equal(store.history(2), [[7, largest], [0, largest], [largest - 1, largest]])
    assert store.max_item == largest
    kept, records = known_histories(store.history_flat, store.records, np.arange(8) > 0)
    np.testing.assert_array_equal(gather_history(store.history_flat[kept], records, 2), [[0, 7], [0, 0], [0, 0]])


def test_small_integers_in_histories_are_stored_too(tmp_path: Path) -> None:
    write_histories(tmp_path / "rows.parquet", pa.array([[7, 3]], pa.list_(pa.int8())))
    store = RowStore.build(tmp_path / "rows.parquet", tmp_path / "cache")
    np.testing.assert_array_equal(store.history(2), [[7, 3]])


def test_a_negative_id_is_named_by_its_row_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are counted in the file: quarantined rows and those of earlier reads count, empty histories too."""
    monkeypatch.setattr(convert_module, "ROWS_A_READ", 3)
    write_histories(tmp_path / "rows.parquet", pa.array([[1], [-5], [2], [3], [], [4, -9, 1]]))
    with pytest.raises(StepError, match=r"column 'item_seq', row 5: item -9;"):
        RowStore.build(tmp_path / "rows.parquet", tmp_path / "cache", exclude=[1, 3])


def test_rows_without_labels_can_be_read_but_not_learned_from(tmp_path: Path) -> None:
    write_rows(tmp_path / "test.parquet", 10)
    pq.write_table(pq.read_table(tmp_path / "test.parquet").drop_columns("label"), tmp_path / "test.parquet")
    store = RowStore.build(tmp_path / "test.parquet", tmp_path / "cache")
    assert len(store.item) == 10
    with pytest.raises(StepError, match="no 'label' column"):
        _ = store.label


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"train\.parquet is missing"):
        RowStore.build(tmp_path / "train.parquet", tmp_path / "cache")


def test_items_that_a_model_does_not_know_are_left_out_of_each_history_apart(tmp_path: Path) -> None:
    """Unknown items at the edges of neighbouring histories must not move a click from one row to the next."""
    columns = {
        "user_id": [1, 2, 3],
        "item_id": [1, 9, 2],
        "item_seq": [[0, 9, 1], [9, 9, 9], [2, 9, 3]],
        "likes_level": [1, 1, 1],
        "views_level": [1, 1, 1],
        "label": [1, 0, 1],
    }
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    store = RowStore.build(tmp_path / "rows.parquet", tmp_path / "cache")
    for rows in ([0, 1, 2], [2, 0], [1], []):
        chosen = np.array(rows, dtype=np.int64)
        kept, records = known_histories(store.history_flat, store.records[chosen], np.arange(5) != 4)
        flat = store.history_flat[kept]
        expected = np.array([[0, 0, 1], [0, 0, 0], [0, 2, 3]])[chosen]
        np.testing.assert_array_equal(gather_history(flat, records, 3), expected)
        np.testing.assert_array_equal(records["item"], np.array([1, 0, 2])[chosen])
        assert flat.max() < 4
    assert store.history_flat.max() == 9, "the store itself is untouched"


def weighted(folder: Path, weights: list[float | None]) -> Path:
    columns = {
        "user_id": [1, 2, 3],
        "item_id": [1, 2, 3],
        "item_seq": [[2], [3, 1], [1]],
        "likes_level": [1, 1, 1],
        "views_level": [1, 1, 1],
        "label": [1, 0, 1],
        "weight": pa.array(weights, pa.float64()),
    }
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return folder / "rows.parquet"


def test_weights_reach_the_batch_with_a_mean_of_one(tmp_path: Path) -> None:
    store = RowStore.build(weighted(tmp_path, [1.0, 2.0, 6.0]), tmp_path / "cache")
    batch = Collator(store, 12, 4)(np.array([0, 1, 2]))
    assert batch.weight_B is not None
    assert dict(zip(batch.rows_B.tolist(), batch.weight_B.tolist(), strict=True)) == pytest.approx(
        {0: 1 / 3, 1: 2 / 3, 2: 2.0}
    )
    assert RowStore.open(store.folder).mean_weight == 3.0


@pytest.mark.parametrize("wrong", [0.0, None, float("inf")])
def test_a_weight_that_is_not_positive_is_named(wrong: float | None, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"weight, row 1: .*; must be a number above 0"):
        RowStore.build(weighted(tmp_path, [1.0, wrong, 6.0]), tmp_path / "cache")
