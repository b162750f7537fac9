"""The importer checks the release where it lies, copies nothing, and says what is missing or wrong."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.dataset.importers import microlens
from components.dataset.sample import SIZES, write_sample
from components.errors import StepError


@pytest.fixture
def release(tmp_path: Path) -> Path:
    write_sample(tmp_path, dataclasses.replace(SIZES["tiny"], content="columns", label_test=False))
    return tmp_path


def test_the_release_as_it_is(release: Path) -> None:
    before = sorted(release.rglob("*"))
    report = microlens(release)
    assert report.problems == ()
    assert report.lines == (
        "train.parquet: 1500 rows",
        "valid.parquet: 400 rows",
        "test.parquet: 600 rows, without labels",
        "item_feature.parquet: 100 rows",
        "item_info.parquet: not there; the embed step makes it",
        "embeddings already computed: txt_emb_BERT, img_emb_CLIPRN50; images: 0",
    )
    assert sorted(release.rglob("*")) == before


def test_the_releases_own_folder_for_the_splits(release: Path) -> None:
    inner = release / "MicroLens_1M_x1"
    inner.mkdir()
    for split in ("train", "valid", "test"):
        (release / f"{split}.parquet").rename(inner / f"{split}.parquet")
    assert microlens(release).problems == ()


def _rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def _right_padded(table: pa.Table) -> pa.Table:
    histories = [sorted(h.as_py(), key=lambda i: i == 0) for h in table["item_seq"]]
    return table.set_column(2, "item_seq", pa.array(histories, pa.list_(pa.int64())))


def _float_ids(table: pa.Table) -> pa.Table:
    return table.set_column(1, "item_id", table["item_id"].cast(pa.float64()))


def _too_long(table: pa.Table) -> pa.Table:
    return table.set_column(2, "item_seq", pa.array([[1] * 101] * len(table), pa.list_(pa.int64())))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            _right_padded, "train.parquet: item_seq holds 0 after an item (row 1): pad on the left", id="right"
        ),
        pytest.param(_float_ids, "train.parquet: item_id is double, must be an integer", id="float-ids"),
        pytest.param(_too_long, "train.parquet: item_seq is up to 101 long, and may be at most 100", id="too-long"),
        pytest.param(lambda t: t.drop(["label"]), "train.parquet lacks the column label", id="no-label"),
        pytest.param(lambda t: t.slice(0, 0), "train.parquet has no rows", id="no-rows"),
    ],
)
def test_what_breaks_the_contract_is_named(release: Path, change: Callable[[pa.Table], pa.Table], message: str) -> None:
    _rewrite(release / "train.parquet", change)
    problems = microlens(release).problems
    assert any(problem.startswith(message) for problem in problems), problems


def test_missing_and_broken_files_are_named(release: Path) -> None:
    (release / "valid.parquet").unlink()
    (release / "test.parquet").write_bytes((release / "test.parquet").read_bytes()[:200])
    first, second = microlens(release).problems
    assert first.startswith("valid.parquet is not there")
    assert second.startswith("test.parquet is not a whole parquet file")


def test_no_content_at_all_is_a_problem(release: Path) -> None:
    _rewrite(release / "item_feature.parquet", lambda t: t.drop(["txt_emb_BERT", "img_emb_CLIPRN50"]))
    assert microlens(release).problems == (
        "neither images nor computed embeddings: unpack item_images into the folder",
    )


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="is not a folder"):
        microlens(tmp_path / "nowhere")
