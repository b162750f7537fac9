"""A shop log with features of its own, from `mmctr run` to scores: every way to score says what training says."""

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from components.batches.rows import RowStore
from components.batches.scoring import score
from components.packages.fetch import local_package
from components.predict.batch import predict
from components.predict.config import PredictConfig
from components.schema.fitted import read_features
from components.serve.app import make_app
from components.serve.follow import Follower
from components.serve.limits import Queue
from components.serve.version import load_version
from components.storage.files import read_json
from components.tracking.models import Models
from components.tracking.pyfunc import load_model
from components.tracking.server import connect
from model.checkpoint import load
from tests.local_run import walk
from tests.shop import BRANDS, write_shop

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning"),  # from MLflow, about its own types
]

NARROW = ("--set", "embed.dimension=8")
# The log says so little of a user's taste that a floor for the labels' signal would be met by chance alone.
LITTLE_SIGNAL = ("--set", "validate.min_label_signal=0", "--set", "validate.min_coherence=0")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def run(workspace: Path, data: Path) -> "subprocess.CompletedProcess[str]":
    done = walk(workspace, data, *NARROW, *LITTLE_SIGNAL)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def models(workspace: Path, run: "subprocess.CompletedProcess[str]") -> Models:  # noqa: ARG001 # it registers
    models = Models(connect(f"sqlite:///{workspace / 'mlflow.db'}"), "mmctr")
    models.set_alias("champion", 1)
    return models


@pytest.fixture(scope="module")
def package(models: Models, workspace: Path) -> Path:
    return local_package(models, models.version(1), workspace / "cache" / "models")


@pytest.fixture(scope="module")
def trained(package: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The scores of the test split by the training's own code."""
    rows = RowStore.build(data / "test.parquet", tmp_path_factory.mktemp("rows"), encoder=read_features(package))
    return score(load(package / "ranker.safetensors"), rows, batch_size=4096)


@pytest.fixture(scope="module")
def records(data: Path) -> list[dict[str, Any]]:
    table = pq.read_table(
        data / "test.parquet", columns=["item_seq", "item_id", "device", "hour", "age", "action", "time_gap"]
    )
    records: list[dict[str, Any]] = table.to_pylist()
    return records


@pytest.fixture(scope="module")
def client(models: Models, workspace: Path) -> TestClient:
    served = load_version(models, models.version(1), workspace / "cache" / "models")
    follower = Follower(None, "champion", None, 1.0, current=served)  # type: ignore[arg-type] # never asks a registry
    return TestClient(make_app("mmctr", follower, Queue(32, 60.0)))


def test_the_report_lists_the_features(run: "subprocess.CompletedProcess[str]") -> None:
    report = next(line.split()[1] for line in run.stdout.splitlines() if line.startswith("report"))
    page = re.sub(r"\s+", " ", Path(report).read_text())
    for name, distinct in (("brand (item)", len(BRANDS)), ("device (row)", 2), ("price (item)", 8)):
        assert re.search(rf"{re.escape(name)}</th> <td>\w+</td> <td[^>]*>{distinct}</td>", page), name


def test_lineage_holds_the_file(workspace: Path, run: "subprocess.CompletedProcess[str]") -> None:  # noqa: ARG001
    (lineage,) = workspace.rglob("lineage/lineage.json")
    assert "features.yaml" in read_json(lineage)["files"]


def test_the_network_sees_every_feature(package: Path) -> None:
    ranker = load(package / "ranker.safetensors")
    assert [feature.name for feature in ranker.vocabulary.row] == ["device", "hour", "age"]
    assert [feature.name for feature in ranker.vocabulary.item] == ["item_tags", "price", "brand", "materials", "look"]
    assert [feature.name for feature in ranker.vocabulary.event] == ["action", "time_gap"]
    for table in (*ranker.event.parameters(), *ranker.row.parameters(), *ranker.item_encoder.features.parameters()):
        assert table.abs().sum() > 0


def test_batch_prediction_scores_as_training(
    models: Models, data: Path, workspace: Path, trained: Any, tmp_path: Path
) -> None:
    predict(data, tmp_path / "scores.parquet", models, workspace, PredictConfig())
    np.testing.assert_allclose(pq.read_table(tmp_path / "scores.parquet")["score"].to_numpy(), trained, atol=1e-6)


def test_the_registered_model_scores_raw_rows_as_training(package: Path, records: Any, trained: Any) -> None:
    model = load_model(package.parents[1])
    assert [column.name for column in model.metadata.signature.inputs] == list(records[0])
    answer = model.predict(pd.DataFrame(records))
    np.testing.assert_allclose(answer["probability"].to_numpy(), trained, atol=1e-6)
    example = model.metadata.load_input_example(str(package.parents[1]))
    assert set(example["device"]) <= {"phone", "desktop"}


def test_the_server_scores_raw_rows_as_training(client: TestClient, records: Any, trained: Any) -> None:
    answer = client.post("/score", json={"rows": records}).json()
    np.testing.assert_allclose(answer["scores"], trained, atol=1e-6)
    names = {tensor["name"]: tensor["datatype"] for tensor in client.get("/v2/models/mmctr").json()["inputs"]}
    assert names == dict(zip(records[0], ["INT64", "INT64", "BYTES", "FP64", "FP64", "BYTES", "FP64"], strict=True))


def test_one_users_candidates_share_what_is_the_users(client: TestClient, records: Any) -> None:
    """The user's own features are one value each, those of a row one for each candidate."""
    first, items = records[0], [3, 8, 21]
    rows = [{**first, "item_id": item} for item in items]
    ranked = client.post(
        "/rank", json={**first, "item_id": items, "device": [first["device"]] * 3, "hour": [first["hour"]] * 3}
    )
    np.testing.assert_allclose(
        ranked.json()["scores"], client.post("/score", json={"rows": rows}).json()["scores"], atol=1e-6
    )


def test_the_examples_of_the_openapi_page_are_of_the_served_features(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for route, body in (("/rank", "RankRequest"), ("/score", "ScoreRequest")):
        (example,) = schemas[body]["examples"]
        assert {"device", "action", "age"} <= set(example if route == "/rank" else example["rows"][0])
        assert client.post(route, json=example).status_code == 200


def tensors(records: Any) -> list[dict[str, Any]]:
    kinds = {"item_id": "INT64", "device": "BYTES", "hour": "INT64", "age": "FP64"}
    columns = [
        {"name": name, "datatype": kind, "shape": [len(records)], "data": [row[name] for row in records]}
        for name, kind in kinds.items()
    ]
    for name, kind in (("item_seq", "INT64"), ("action", "BYTES"), ("time_gap", "FP64")):
        data = [value for row in records for value in row[name]]
        columns.append({"name": name, "datatype": kind, "shape": [len(records), 8], "data": data})
    return columns


def test_the_open_inference_protocol_takes_raw_values(client: TestClient, records: Any, trained: Any) -> None:
    answer = client.post("/v2/models/mmctr/infer", json={"inputs": tensors(records)}).json()
    np.testing.assert_allclose(answer["outputs"][0]["data"], trained, atol=1e-6)


def test_a_value_that_train_did_not_have_is_scored_and_a_wrong_one_refused(client: TestClient, records: Any) -> None:
    first = records[0]
    unknown, other, missing = ({**first, "device": value} for value in ("television", "watch", None))
    scores = client.post("/score", json={"rows": [unknown, other, missing, first]}).json()["scores"]
    assert scores[0] == scores[1]  # all that are unknown share a code
    assert len(set(scores)) == 3
    assert all(0 < value < 1 and math.isfinite(value) for value in scores)
    for changes, words in (
        ({"age": "old"}, "rows.0.age: must be a number, or missing (given: 'old')"),
        ({"action": ["buy"]}, "rows.0.action: must be a list with a value for each of the 8 items of the history"),
        ({"time_gap": ["x"] * 8}, "rows.0.time_gap: must be a number, or missing (given: 'x')"),
        ({"device": 1.5}, "rows.0.device: must be a text or a whole number, or missing (given: 1.5)"),
        ({"colour": "red"}, "rows.0.colour: Extra inputs are not permitted; version 1 reads item_seq, item_id, device"),
    ):
        answer = client.post("/score", json={"rows": [{**first, **changes}]})
        assert answer.status_code == 422
        assert words in answer.json()["error"]
    without = {name: value for name, value in first.items() if name != "hour"}
    assert client.post("/score", json={"rows": [without]}).json()["error"] == "rows.0.hour: Field required"


def test_a_study_asks_what_a_feature_is_worth(workspace: Path, data: Path, tmp_path: Path) -> None:
    program = "from pipelines.cli import main; main()"
    quick = ("--set", "train.max_epochs=1", "--arms", "without price", "--seeds", "1", "--rows", "500")
    options = ("--data", data, "--workspace", workspace, "--out", tmp_path / "study", *NARROW, *LITTLE_SIGNAL, *quick)
    command = [sys.executable, "-c", program, "study", "features", *map(str, options)]
    done = subprocess.run(command, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    results = read_json(tmp_path / "study" / "results.json")
    assert [arm["name"] for arm in results["arms"]] == ["all", "without price"]
    assert results["comparisons"][0]["arm"] == "without price"
    assert results["arms"][0]["parameters"] > results["arms"][1]["parameters"]


def test_rows_without_a_declared_column_are_refused(
    models: Models, data: Path, workspace: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.parquet"
    pq.write_table(pq.read_table(data / "test.parquet").drop(["device"]), rows)
    with pytest.raises(Exception, match=r"lacks the column device \(an integer or a text\)"):
        predict(rows, tmp_path / "scores.parquet", models, workspace, PredictConfig())
