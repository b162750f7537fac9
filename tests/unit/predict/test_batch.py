"""Batch scoring by alias: evaluation's scores, the same bytes after a kill, and the competition's file."""

import csv
import io
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.batches.rows import RowStore
from components.batches.scoring import score, score_logits
from components.errors import StepError
from components.packages.fetch import local_package, version_at
from components.predict import batch as room
from components.predict.batch import Predicted, predict
from components.predict.config import PredictConfig
from components.predict.write import WRITERS, Scored
from components.storage.locks import alone
from components.tracking.models import Models
from components.tracking.server import connect
from tests.services.candidate import ITEMS, make_candidate, tiny_ranker
from tests.services.registry import KilledError

ROWS = 300
SMALL = PredictConfig(batch_size=8)  # chunks of 128 rows


def write_rows(folder: Path, items: int = ITEMS, seed: int = 0, levels: int = 11) -> Path:
    random = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    histories = [random.integers(1, items, random.integers(0, 9)).tolist() for _ in range(ROWS)]
    table = {
        "user_id": np.arange(ROWS) // 3,
        "item_id": random.integers(1, items, ROWS),
        "item_seq": histories,
        "likes_level": random.integers(0, levels, ROWS),
        "views_level": random.integers(0, levels, ROWS),
    }
    pq.write_table(pa.table(table), folder / "test.parquet")
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def models(workspace: Path) -> Models:
    server = connect(f"sqlite:///{workspace / 'mlflow.db'}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server.uri)
        made = make_candidate(workspace / "candidate").register("run-1", workspace / "registration")
    registry = Models(server, "mmctr")
    registry.set_alias("champion", int(made["version"]))
    return registry


@pytest.fixture(scope="module")
def data(workspace: Path) -> Path:
    return write_rows(workspace / "data")


def evaluated(data: Path, cache: Path) -> npt.NDArray[np.float64]:
    return score(tiny_ranker(), RowStore.build(data / "test.parquet", cache), batch_size=8)


def test_scores_are_those_of_the_evaluation(models: Models, data: Path, workspace: Path, tmp_path: Path) -> None:
    made = predict(data, tmp_path / "scores.parquet", models, workspace, SMALL)
    assert made == Predicted(1, "c" * 64, ROWS, 0, 0, tmp_path / "scores.parquet")
    table = pq.read_table(tmp_path / "scores.parquet")
    assert np.array_equal(table["score"].to_numpy(), evaluated(data, tmp_path / "rows"))
    assert table["row"].to_pylist() == list(range(ROWS))
    assert table["item_id"].equals(pq.read_table(data / "test.parquet")["item_id"])


@pytest.mark.parametrize("killed_at", [0, 1, 2])
def test_a_killed_run_goes_on_to_the_same_bytes(
    killed_at: int, models: Models, data: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(data, tmp_path / "whole.parquet", models, workspace, SMALL)
    calls = iter(range(10))

    def dying(*args: Any) -> npt.NDArray[np.float32]:
        if next(calls) == killed_at:
            raise KilledError("kill -9")
        return score_logits(*args)

    monkeypatch.setattr(room, "score_logits", dying)
    out = tmp_path / "killed.parquet"
    with pytest.raises(KilledError):
        predict(data, out, models, workspace, SMALL)
    assert not out.exists()
    (tmp_path / ".killed.parquet.unfinished" / ".chunk.abc").write_bytes(
        b"\x00\x01"
    )  # as a kill during a write leaves it
    monkeypatch.setattr(room, "score_logits", score_logits)
    assert predict(data, out, models, workspace, SMALL).resumed_at == killed_at * 128
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not (tmp_path / ".killed.parquet.unfinished").exists()


@pytest.mark.parametrize("damage", ["a bit", "cut", "missing", "of other rows"])
def test_a_damaged_chunk_and_what_follows_it_are_scored_anew(
    damage: str, models: Models, data: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(data, tmp_path / "whole.parquet", models, workspace, SMALL)
    out = tmp_path / "killed.parquet"

    def killed(*_: Any) -> None:
        raise KilledError("kill -9")

    with monkeypatch.context() as patch:
        patch.setitem(WRITERS, "parquet", killed)
        with pytest.raises(KilledError):
            predict(data, out, models, workspace, SMALL)
    first, second, *_ = sorted((tmp_path / ".killed.parquet.unfinished").glob("*.f32"))
    content = bytearray(second.read_bytes())
    content[5] ^= 1
    if damage == "missing":
        second.unlink()
    else:
        second.write_bytes(
            {"a bit": bytes(content), "cut": bytes(content[:100]), "of other rows": first.read_bytes()}[damage]
        )
    assert predict(data, out, models, workspace, SMALL).resumed_at == 128
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_what_was_begun_for_other_rows_is_begun_anew(
    models: Models, data: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "scores.parquet"
    with monkeypatch.context() as patch:
        patch.delitem(WRITERS, "parquet")  # scored to the end, but never written
        with pytest.raises(KeyError):
            predict(data, out, models, workspace, SMALL)
    other = write_rows(tmp_path / "other", seed=1)
    assert predict(other, out, models, workspace, SMALL).resumed_at == 0


def test_the_competition_gets_its_file(models: Models, data: Path, workspace: Path, tmp_path: Path) -> None:
    config = PredictConfig(batch_size=8, format="challenge")
    for name in ("first.zip", "second.zip"):
        predict(data, tmp_path / name, models, workspace, config)
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "first.zip") as archive:
        assert archive.namelist() == ["prediction.csv"]
        header, *lines = csv.reader(io.StringIO(archive.read("prediction.csv").decode()))
    assert header == ["ID", "Task2"]
    assert [int(line[0]) for line in lines] == list(range(ROWS))
    written = np.array([line[1] for line in lines], dtype=np.float64)
    assert np.array_equal(written, evaluated(data, tmp_path / "rows"))


def test_csv_holds_the_same_numbers(models: Models, data: Path, workspace: Path, tmp_path: Path) -> None:
    predict(
        data / "test.parquet", tmp_path / "scores.csv", models, workspace, PredictConfig(batch_size=8, format="csv")
    )
    header, *lines = csv.reader((tmp_path / "scores.csv").read_text().splitlines())
    assert header == ["row", "user_id", "item_id", "score", "logit", "known_item", "item_table"]
    assert np.array_equal(np.array([line[3] for line in lines], np.float64), evaluated(data, tmp_path / "rows"))
    assert {line[5] for line in lines} == {"true"}


def test_unknown_items_are_counted_and_scored(models: Models, workspace: Path, tmp_path: Path) -> None:
    grown = write_rows(tmp_path / "grown", items=2 * ITEMS)
    made = predict(grown, tmp_path / "scores.parquet", models, workspace, SMALL)
    table = pq.read_table(tmp_path / "scores.parquet")
    unknown = [item >= ITEMS for item in table["item_id"].to_pylist()]
    assert made.unknown == sum(unknown) > 0
    assert table["known_item"].to_pylist() == [not one for one in unknown]
    assert np.isfinite(table["score"].to_numpy()).all()


# MLflow warns at import that it does not check the types of `predict`, which the served model does itself.
needs_served_model = pytest.mark.filterwarnings("ignore:.*Any type hint")
ROW = {"user_id": [1], "item_id": [3], "likes_level": [4], "views_level": [5]}


@pytest.fixture(scope="module")
def served(models: Models, workspace: Path) -> Callable[[Path], pd.DataFrame]:
    """What the registered model answers to the rows of a file."""
    from components.tracking.serving_model import ServingModel

    version = version_at(models, "champion")
    assert version is not None
    model, package = ServingModel(), local_package(models, version, workspace / "cache" / "models")
    model.load_context(SimpleNamespace(artifacts={"package": str(package)}, model_config={"sha256": {}}))
    return lambda rows: model.predict(None, pq.read_table(rows).to_pandas())


@needs_served_model
@pytest.mark.parametrize("item", [3, ITEMS, 2**31 - 1, 2**31, 2**32 + 3, 2**63 - 1])
@pytest.mark.parametrize(
    "history", [[2**32 + 7], [7, 2**32 + 8, 9], [2**31], [2**31 - 1], [ITEMS], [5, 2**62 + 5], [7, 9], []], ids=str
)
def test_ids_are_read_as_the_served_model_reads_them(
    item: int,
    history: list[int],
    served: Callable[[Path], pd.DataFrame],
    models: Models,
    workspace: Path,
    tmp_path: Path,
) -> None:
    row = {**ROW, "item_id": [item], "item_seq": pa.array([history], pa.list_(pa.int64()))}
    pq.write_table(pa.table(row), tmp_path / "rows.parquet")
    made = predict(tmp_path / "rows.parquet", tmp_path / "scores.parquet", models, workspace, SMALL)
    online = served(tmp_path / "rows.parquet")
    batch = pq.read_table(tmp_path / "scores.parquet")
    np.testing.assert_allclose(batch["score"].to_numpy(), online["probability"], rtol=1e-5)
    assert made.unknown == int((~online["known_item"]).sum()) == (item >= ITEMS)
    assert batch["item_id"].to_pylist() == [item]
    assert batch["known_item"].to_pylist() == online["known_item"].tolist()


@needs_served_model
@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("item_seq", [[2], [2, -1]], "-1"),
        ("item_id", [3, 0], "0; must be a whole number from 1 to 9223372036854775807"),
        ("item_id", [3, -3], "-3"),
        ("item_id", pa.array([3, 2**63], pa.uint64()), "9223372036854775808"),
        ("likes_level", [4, 11], "11; must be a whole number from 0 to 10"),
        ("views_level", [4, -1], "-1"),
        ("views_level", [4, 2**40], "1099511627776"),
    ],
)
def test_what_is_no_id_or_level_is_refused_by_batch_and_by_the_served_model(
    column: str,
    values: Any,
    words: str,
    served: Callable[[Path], pd.DataFrame],
    models: Models,
    workspace: Path,
    tmp_path: Path,
) -> None:
    rows = {name: value * 2 for name, value in ROW.items()}
    pq.write_table(pa.table({**rows, "item_seq": [[2], []], column: values}), tmp_path / "rows.parquet")
    with pytest.raises(StepError, match=rf"rows\.parquet: .*{column}.*{words}"):
        predict(tmp_path / "rows.parquet", tmp_path / "scores.parquet", models, workspace, SMALL)
    with pytest.raises(Exception, match=rf"^{column}, row 1: {words}"):  # MLflow's, which its server answers as a 400
        served(tmp_path / "rows.parquet")
    assert not (tmp_path / "scores.parquet").exists()


@needs_served_model
def test_the_served_model_reads_no_damaged_program(models: Models, workspace: Path, tmp_path: Path) -> None:
    from components.tracking.pyfunc import load_model, write_model

    version = version_at(models, "champion")
    assert version is not None
    package = local_package(models, version, workspace / "cache" / "models")
    write_model(package, tmp_path / "model")
    with next((tmp_path / "model").rglob("ranker.pt2")).open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    with pytest.raises(Exception, match=r"ranker\.pt2 is not the file that was registered"):
        load_model(tmp_path / "model")


def test_equal_probabilities_are_told_apart_by_their_logits(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "data") / "test.parquet"
    logits = np.linspace(30, 60, ROWS, dtype=np.float32)
    WRITERS["parquet"](Scored(rows, logits, np.ones(ROWS, dtype=bool), "c" * 16), tmp_path / "scores.parquet")
    table = pq.read_table(tmp_path / "scores.parquet")
    assert len(np.unique(table["score"].to_numpy())) < ROWS
    assert np.array_equal(np.argsort(table["logit"].to_numpy()), np.arange(ROWS))


def test_what_cannot_be_scored_is_named(models: Models, workspace: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="no version at alias 'challenge'; there is: challenger, champion"):
        predict(data, tmp_path / "x", models, workspace, PredictConfig(alias="challenge"))
    high = write_rows(tmp_path / "high", levels=13)
    with pytest.raises(StepError, match=r"likes_level, row \d+: 1[12]; must be a whole number from 0 to 10"):
        predict(high, tmp_path / "x", models, workspace, SMALL)
    with pytest.raises(ValueError, match="--format = 'json': must be one of"):
        PredictConfig(format="json")  # type: ignore[arg-type]


def test_two_at_once_with_one_output_is_refused(models: Models, data: Path, workspace: Path, tmp_path: Path) -> None:
    out, held, done = tmp_path / "scores.parquet", threading.Event(), threading.Event()

    def hold() -> None:
        with alone(tmp_path / ".scores.parquet.lock"):
            held.set()
            done.wait()

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    try:
        with pytest.raises(StepError, match=r"is at work there; wait until"):
            predict(data, out, models, workspace, SMALL)
    finally:
        done.set()
        other.join()
    assert not out.exists()
    predict(data, out, models, workspace, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.parquet"]


def test_a_folder_as_output_is_refused_before_the_work(
    models: Models, data: Path, workspace: Path, tmp_path: Path
) -> None:
    with pytest.raises(StepError, match=r"is a folder: name the file to write"):
        predict(data, tmp_path, models, workspace, SMALL)
