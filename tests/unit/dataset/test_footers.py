"""A folder that no training could run on is refused from the footers of its files, with everything that is wrong."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from components.dataset.footers import check_footers
from components.dataset.sample import SIZES, write_sample
from components.errors import StepError
from pipelines.cli import app


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_sample(tmp_path / "data", SIZES["tiny"])
    return tmp_path / "data"


def _edit(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def _as_text(column: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.schema.get_field_index(column), column, table[column].cast(pa.string()))


def test_good_data_passes(data: Path) -> None:
    check_footers(data)


def test_the_releases_own_folder_for_the_splits_passes(data: Path) -> None:
    (data / "MicroLens_1M_x1").mkdir()
    for split in ("train", "valid", "test"):
        (data / f"{split}.parquet").rename(data / "MicroLens_1M_x1" / f"{split}.parquet")
    check_footers(data)


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        pytest.param("train", lambda t: t.drop(["label"]), "train.parquet lacks the column label", id="no-label"),
        pytest.param("valid", _as_text("user_id"), "valid.parquet: user_id is string, must be an integer", id="text"),
        pytest.param(
            "test", lambda t: t.append_column("label", t["label"]), "'label' comes 2 times", id="column-twice"
        ),
        pytest.param(
            "item_feature",
            lambda t: t.drop(["item_title"]),
            "item_feature.parquet lacks the column item_title",
            id="title",
        ),
    ],
)
def test_what_no_training_could_run_on_is_named(
    data: Path, file: str, change: Callable[[pa.Table], pa.Table], words: str
) -> None:
    _edit(data / f"{file}.parquet", change)
    with pytest.raises(StepError, match="does not keep the data contract") as refused:
        check_footers(data)
    assert words in str(refused.value)


def test_all_problems_come_in_one_line(data: Path) -> None:
    (data / "valid.parquet").unlink()
    (data / "test.parquet").write_bytes((data / "test.parquet").read_bytes()[:100])
    _edit(data / "train.parquet", lambda table: table.drop(["label", "user_id"]))
    with pytest.raises(StepError) as refused:
        check_footers(data)
    message = str(refused.value)
    for words in ("valid.parquet is not there", "test.parquet is not a whole", "column label", "column user_id"):
        assert words in message
    assert "\n" not in message


def test_a_run_on_such_a_folder_starts_nothing(data: Path) -> None:
    _edit(data / "train.parquet", _as_text("item_id"))
    workspace = data.parent / "workspace"
    ended = CliRunner().invoke(app, ["run", "--data", str(data), "--workspace", str(workspace)])
    assert isinstance(ended.exception, StepError)
    assert "train.parquet: item_id is string, must be an integer" in str(ended.exception)
    assert not workspace.exists()
