"""The benchmark's split, against a loop over single rows that follows its program, on a stand-in of the release."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data_versions.check import check_data
from components.dataset.importers import bench, microlens_bench
from components.dataset.sample import SIZES, write_sample
from components.errors import StepError
from components.schema.declared import read_schema
from pipelines.presets import resolve


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    write_sample(folder, dataclasses.replace(SIZES["tiny"], content="columns", label_test=False))
    return folder


def drawn(rows: int) -> list[str]:
    """As MMCTR-Bench's `preprocessing.py` draws them: int(0.8 n) train, int(0.9 n) the end of valid, then shuffled."""
    bounds = int(rows * 0.8), int(rows * 0.9)
    codes = np.concatenate([np.full(bounds[0], 0), np.full(bounds[1] - bounds[0], 1), np.full(rows - bounds[1], 2)])
    codes = codes.astype(np.uint8)
    np.random.RandomState(42).shuffle(codes)
    return [("train", "valid", "test")[code] for code in codes]


def test_each_row_lands_where_the_benchmark_puts_it(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "ROWS_A_READ", 400)  # several reads
    report = microlens_bench(release, tmp_path / "out")
    wanted: dict[str, list[dict[str, object]]] = {"train": [], "valid": [], "test": []}
    source = pq.read_table(release / "train.parquet").to_pylist()
    for row, split in zip(source, drawn(len(source)), strict=True):
        kept = {name: row[name] for name in ("user_id", "item_id", "label")}
        wanted[split].append({**kept, "item_seq": row["item_seq"][-5:]})
    for split, rows in wanted.items():
        assert pq.read_table(tmp_path / "out" / f"{split}.parquet").to_pylist() == rows
    assert [len(rows) for rows in wanted.values()] == [1200, 150, 150]
    clicks = sum(int(str(row["label"])) for row in wanted["valid"])
    assert report.lines[1] == f"valid.parquet: 150 rows, {clicks} clicks"


def test_histories_of_any_width_keep_their_newest(release: Path, tmp_path: Path) -> None:
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "item_feature.parquet").write_bytes((release / "item_feature.parquet").read_bytes())
    lists = [[], [1], [1, 2, 3, 4, 5], [9, 8, 7, 6, 5, 4], *[[3]] * 6]
    columns = {name: np.arange(1, 11) for name in ("user_id", "item_id")}
    table = pa.table({**columns, "item_seq": pa.array(lists, pa.list_(pa.int64())), "label": [0, 1] * 5})
    pq.write_table(table, folder / "train.parquet")
    microlens_bench(folder, tmp_path / "out")
    splits = [pq.read_table(tmp_path / "out" / f"{split}.parquet") for split in ("train", "valid", "test")]
    found = dict(zip(*(pa.concat_tables(splits)[name].to_pylist() for name in ("user_id", "item_seq")), strict=True))
    assert [found[user] for user in range(1, 5)] == [[], [1], [1, 2, 3, 4, 5], [8, 7, 6, 5, 4]]


def test_no_levels_and_tags_go_along(release: Path, tmp_path: Path) -> None:
    microlens_bench(release, tmp_path / "out")
    assert read_schema(tmp_path / "out").features == ()
    assert pq.read_schema(tmp_path / "out" / "item_feature.parquet").names == [
        *("item_id", "item_title", "txt_emb_BERT", "img_emb_CLIPRN50"),
    ]


def test_validation_stops_at_shared_users_alone(release: Path, tmp_path: Path) -> None:
    """The command that the importer names turns that rule into a warning."""
    microlens_bench(release, tmp_path / "out")
    with pytest.raises(StepError, match=r"users-apart: expected that few users of valid and test are also in train"):
        check_data(tmp_path / "out", resolve("sample").validate, tmp_path / "checked")
    lenient = resolve("sample", ["validate.severities=users-apart=warn"]).validate
    found = check_data(tmp_path / "out", lenient, tmp_path / "again")
    assert {rule["name"] for rule in found["rules"] if not rule["passed"] and rule["severity"] == "stop"} == set()


def test_what_is_missing_is_named(release: Path, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"has no train\.parquet: give the folder that MicroLens_1M_MMCTR"):
        microlens_bench(tmp_path, tmp_path / "out")
    folder = tmp_path / "release"
    folder.mkdir()
    for name in ("train.parquet", "item_feature.parquet"):
        (folder / name).write_bytes((release / name).read_bytes())
    items = pq.read_table(folder / "item_feature.parquet").drop_columns(["txt_emb_BERT"])
    pq.write_table(items, folder / "item_feature.parquet")
    with pytest.raises(StepError, match=r"item_feature\.parquet has no column 'txt_emb_BERT'"):
        microlens_bench(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
