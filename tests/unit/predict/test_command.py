"""`mmctr predict` on what cannot work: one line that names the option or the path, before anything is scored."""

import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.batches.scoring import score_logits
from components.predict import batch as room
from components.tracking.models import Models
from components.tracking.server import connect
from pipelines import cli
from tests.services.candidate import make_candidate
from tests.unit.predict.test_batch import write_rows


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a champion."""
    workspace = tmp_path_factory.mktemp("registry")
    server = connect(f"sqlite:///{workspace / 'mlflow.db'}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server.uri)
        made = make_candidate(workspace / "candidate").register("run-1", workspace / "registration")
    Models(server, "mmctr").set_alias("champion", int(made["version"]))
    return workspace


@pytest.fixture
def refused(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """What the command says, when it must not score anything."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_rows(tmp_path / "data")
    monkeypatch.setattr(room, "score_logits", None)

    def call(data: str = "data", out: str = "scores.parquet", workspace: str = str(registry)) -> str:
        monkeypatch.setattr("sys.argv", ["mmctr", "predict", "--data", data, "--out", out, "--workspace", workspace])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code in (1, 2)
        said = capsys.readouterr().err
        assert said.startswith("mmctr: ")
        assert said.count("\n") == 1, said
        assert not Path("scores.parquet").exists()
        return said

    return call


def _succeed(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0


def test_text_ids(refused: Callable[..., str]) -> None:
    rows = pq.read_table("data/test.parquet")
    pq.write_table(rows.set_column(1, "item_id", rows["item_id"].cast(pa.string())), "texts.parquet")
    assert "texts.parquet: item_id is string, must be an integer" in refused(data="texts.parquet")


def test_a_missing_column(refused: Callable[..., str]) -> None:
    pq.write_table(pq.read_table("data/test.parquet").drop_columns(["views_level"]), "short.parquet")
    assert "short.parquet lacks the column views_level (an integer)" in refused(data="short.parquet")


def test_a_truncated_file(refused: Callable[..., str]) -> None:
    Path("cut.parquet").write_bytes(Path("data/test.parquet").read_bytes()[:-100])
    assert "cut.parquet is not a whole parquet file" in refused(data="cut.parquet")


def test_damage_inside_a_file(refused: Callable[..., str]) -> None:
    content = bytearray(Path("data/test.parquet").read_bytes())
    content[4:300] = b"\xff" * 296
    Path("damaged.parquet").write_bytes(content)
    assert "damaged.parquet is damaged inside" in refused(data="damaged.parquet")


def test_the_output_is_a_folder(refused: Callable[..., str]) -> None:
    assert "--out data is a folder: name the file to write" in refused(out="data")


def test_the_output_lies_below_a_file(refused: Callable[..., str]) -> None:
    assert "--out data/test.parquet/scores: nothing can be written in" in refused(out="data/test.parquet/scores")


def test_the_output_is_the_input(refused: Callable[..., str]) -> None:
    before = Path("data/test.parquet").read_bytes()
    assert "is the file of rows itself" in refused(out="data/test.parquet")
    assert Path("data/test.parquet").read_bytes() == before


def test_too_little_space_for_the_scores(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    nearly_full = shutil.disk_usage(".")._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: nearly_full)
    assert "--out scores.parquet: 300 scores need at least 0.0 MB, and 0.0 MB are free" in refused()


def test_the_disk_fills_up_meanwhile(
    registry: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "score_logits", score_logits)
    pq.write_table(pa.concat_tables([pq.read_table("data/test.parquet")] * 70), "many.parquet")
    # Registry and converted rows are there already, so the scores are the first file that meets the limit.
    run = ["mmctr", "predict", "--data", "many.parquet", "--out", "whole.parquet", "--workspace", str(registry)]
    _succeed(run, monkeypatch)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, before[1]))
    try:
        said = refused(data="many.parquet")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "--out scores.parquet: it could not be written (File too large); free space" in said
    _succeed([word.replace("whole", "scores") for word in run], monkeypatch)
    assert Path("scores.parquet").read_bytes() == Path("whole.parquet").read_bytes()


def test_the_workspace_is_a_file(refused: Callable[..., str]) -> None:
    Path("README.md").write_text("text")
    assert "--workspace README.md: this is a file" in refused(workspace="README.md")
    assert Path("README.md").read_text() == "text"


@pytest.mark.parametrize("address", ["nowhere://registry", "http://[::1", "postgresql+nothing://127.0.0.1/x"])
def test_a_bad_address_of_the_registry(
    address: str, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert f"MLFLOW_TRACKING_URI = {address}" in refused()
