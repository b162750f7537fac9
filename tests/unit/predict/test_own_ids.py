"""A version of a data set with an item_ids.parquet: rows and requests name items by the team's own ids."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from components.dataset.item_ids import in_numbers_of, read_item_ids, renumbered
from components.errors import StepError
from components.items.compare import refuse_other_numbers
from components.packages.fetch import local_package
from components.packages.item_rows import ItemRows, read_rows
from components.predict.batch import predict
from components.predict.config import PredictConfig
from components.schema.encoder import NUMBERED, UNKNOWN_ITEM, FeatureError, ItemIds
from components.serve.app import make_app
from components.serve.follow import Follower
from components.serve.limits import Queue
from components.serve.version import load_version
from components.tracking.models import Models
from components.tracking.pyfunc import load_model
from components.tracking.server import connect
from tests.services.candidate import ITEMS, make_candidate

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning")  # from MLflow, about its own types

LEVELS = {"likes_level": [4, 0, 7, 7, 1], "views_level": [2, 9, 7, 7, 1]}
NUMBERS = [5, 12, 3, 39, 1]
HISTORIES = [[3, 1, 2], [], [8], [9, 9, 30], [5]]


def own(number: int) -> str:
    """Some look like numbers, one holds a comma."""
    return str(1000 - number) if number % 2 else f"sku-{number},a"


def write_ids(folder: Path, numbers: dict[str, int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": [*numbers.values()], "raw": [*numbers]}), folder / "item_ids.parquet")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def models(workspace: Path) -> Models:
    server = connect(f"sqlite:///{workspace / 'mlflow.db'}")
    candidate = make_candidate(workspace / "candidate")
    write_ids(workspace / "candidate" / "validation", {own(number): number for number in range(1, ITEMS)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server.uri)
        candidate.register("run-1", workspace / "registration")
    models = Models(server, "mmctr")
    models.set_alias("champion", 1)
    return models


@pytest.fixture(scope="module")
def package(models: Models, workspace: Path) -> Path:
    return local_package(models, models.version(1), workspace / "cache" / "models")


@pytest.fixture(scope="module")
def client(models: Models, workspace: Path) -> TestClient:
    served = load_version(models, models.version(1), workspace / "cache" / "models")
    follower = Follower(None, "champion", None, 1.0, current=served)  # type: ignore[arg-type] # never asks a registry
    return TestClient(make_app("mmctr", follower, Queue(32, 60.0)))


def batch(rows: Path, models: Models, workspace: Path, columns: dict[str, Any]) -> pa.Table:
    pq.write_table(pa.table({"user_id": ["ada", "bo", "bo", "cy", "cy"], **columns, **LEVELS}), rows)
    out = rows.with_suffix(".scores.parquet")
    predict(rows, out, models, workspace, PredictConfig())
    return pq.read_table(out)


@pytest.fixture(scope="module")
def expected(models: Models, workspace: Path) -> Any:
    """Of the rows with the numbers of the data set, beside its ids."""
    write_ids(workspace / "data", {own(number): number for number in range(1, ITEMS)})
    named = {"item_id": NUMBERS, "item_seq": HISTORIES}
    return batch(workspace / "data" / "test.parquet", models, workspace, named)["score"].to_numpy()


RAW: dict[str, Any] = {
    "item_id": [own(number) for number in NUMBERS],
    "item_seq": [[own(n) for n in each] for each in HISTORIES],
}
RECORDS = pd.DataFrame({**RAW, **LEVELS}).to_dict("records")


def test_own_ids_and_numbers_have_the_same_scores(
    models: Models, workspace: Path, expected: Any, tmp_path: Path
) -> None:
    found = batch(tmp_path / "rows.parquet", models, workspace, RAW)
    np.testing.assert_allclose(found["score"].to_numpy(), expected, atol=1e-6)
    assert found["item_id"].to_pylist() == RAW["item_id"]
    assert found["known_item"].to_pylist() == [True] * 5


def test_numbers_of_another_data_set_are_read_by_its_own_ids(
    models: Models, workspace: Path, expected: Any, tmp_path: Path
) -> None:
    write_ids(tmp_path, {own(number): 2 * number for number in range(1, ITEMS)})
    named = {"item_id": [2 * number for number in NUMBERS], "item_seq": [[2 * n for n in each] for each in HISTORIES]}
    found = batch(tmp_path / "rows.parquet", models, workspace, named)
    np.testing.assert_allclose(found["score"].to_numpy(), expected, atol=1e-6)


def test_the_registered_model_takes_own_ids(package: Path, expected: Any) -> None:
    model = load_model(package.parents[1])
    answer = model.predict(pd.DataFrame(RECORDS))
    np.testing.assert_allclose(answer["probability"].to_numpy(), expected, atol=1e-6)
    example = model.metadata.load_input_example(str(package.parents[1]))
    assert example["item_id"].tolist() == [own(1), own(2)]
    with pytest.raises(Exception, match=r"^item_id, row 0: ''; must be an item's id, as a text or a whole number"):
        model.predict(pd.DataFrame([{**RECORDS[0], "item_id": ""}]))


def test_the_server_takes_own_ids(client: TestClient, expected: Any) -> None:
    answer = client.post("/score", json={"rows": RECORDS}).json()
    np.testing.assert_allclose(answer["scores"], expected, atol=1e-6)
    first = {**RECORDS[0], "item_id": [own(5), int(own(5)), "never seen"]}
    levels = {name: [values[0]] * 3 for name, values in LEVELS.items()}
    ranked = client.post("/rank", json={**first, **levels}).json()
    assert ranked["known"] == [True, True, False]  # 995 and "995" are one
    assert ranked["scores"][:2] == pytest.approx([expected[0]] * 2, abs=1e-6)
    wrong = client.post("/score", json={"rows": [RECORDS[0], {**RECORDS[1], "item_seq": ["995", None]}]})
    said = "rows.1.item_seq.1: must be an item's id, as a text or a whole number (given: None)"
    assert (wrong.status_code, wrong.json()["error"]) == (422, said)


def test_an_unknown_item_of_a_history_is_left_out(client: TestClient) -> None:
    rows = [{**RECORDS[0], "item_seq": history} for history in ([own(3)], ["never seen", own(3)], ["", 0, own(3)])]
    scores = client.post("/score", json={"rows": rows}).json()["scores"]
    assert scores[1:] == pytest.approx([scores[0]] * 2, abs=1e-6)


def test_the_open_inference_protocol_and_the_examples_say_that_ids_are_texts(client: TestClient, expected: Any) -> None:
    names = {tensor["name"]: tensor["datatype"] for tensor in client.get("/v2/models/mmctr").json()["inputs"]}
    assert names == {"item_seq": "BYTES", "item_id": "BYTES", "likes_level": "INT64", "views_level": "INT64"}
    padded = [text for each in RAW["item_seq"] for text in [""] * (3 - len(each)) + each]
    inputs = [
        {"name": "item_seq", "datatype": "BYTES", "shape": [5, 3], "data": padded},
        {"name": "item_id", "datatype": "BYTES", "shape": [5], "data": RAW["item_id"]},
        *({"name": name, "datatype": "INT64", "shape": [5], "data": values} for name, values in LEVELS.items()),
    ]
    answer = client.post("/v2/models/mmctr/infer", json={"inputs": inputs}).json()
    np.testing.assert_allclose(answer["outputs"][0]["data"], expected, atol=1e-6)
    (example,) = client.get("/openapi.json").json()["components"]["schemas"]["RankRequest"]["examples"]
    assert example["item_seq"] == [own(3), own(1), own(2)]
    assert client.post("/rank", json=example).json()["known"] == [True, True]


def test_an_earlier_version_with_other_numbers_is_asked_in_its_own() -> None:
    """As when a log was imported without `--ids-from`; items that are new keep the numbers of the others."""
    before = ItemIds({"a": 1, "b": 2})
    assert renumbered(ItemIds({"a": 1, "b": 2, "c": 3}), before) is NUMBERED
    assert renumbered(ItemIds({"a": 1, "c": 3}), before) is NUMBERED
    assert renumbered(NUMBERED, before) is renumbered(before, NUMBERED) is NUMBERED
    assert renumbered(ItemIds({"b": 1, "a": 2, "c": 3}), before).number == {"1": 2, "2": 1, "3": UNKNOWN_ITEM}
    assert renumbered(ItemIds({"a": 1, "c": 2}), before).number == {"1": 1, "2": UNKNOWN_ITEM}


def test_numbers_keep_their_meaning_where_there_are_no_own_ids(tmp_path: Path) -> None:
    assert read_item_ids(tmp_path) is NUMBERED
    assert NUMBERED.numbers([1, 7], "item_id").tolist() == [1, 7]
    with pytest.raises(FeatureError, match="item_id, row 1: '7'; must be a whole number from 1 to"):
        NUMBERED.numbers([1, "7"], "item_id")
    assert in_numbers_of(ItemIds({"a": 1, "b": 2}), ItemIds({"a": 5})).number == {"1": 5, "2": UNKNOWN_ITEM}


def test_a_refreshed_item_table_brings_the_own_ids_of_its_new_items() -> None:
    blocks = np.zeros((2, 1), np.int64), np.zeros((2, 1), np.float32), np.zeros((2, 1), np.float32)
    table = ItemRows(np.array([2, 3]), *blocks, np.array(["b", "c"]), 1, "hash")
    found = read_rows(table.to_bytes(), "the item table")
    assert found.named(ItemIds({"a": 1, "b": 2})).number == {"a": 1, "b": 2, "c": 3}
    assert found.named(NUMBERED) is NUMBERED


def test_a_refresh_with_other_numbers_is_refused(tmp_path: Path) -> None:
    write_ids(tmp_path / "package", {"a": 1, "b": 2})
    write_ids(tmp_path / "grown", {"a": 1, "b": 2, "c": 3})
    write_ids(tmp_path / "anew", {"b": 1, "a": 2, "c": 3})
    refuse_other_numbers(tmp_path / "grown", tmp_path / "package", 4)
    with pytest.raises(StepError, match=r"other numbers than that of version 4: import the log again with --ids-from"):
        refuse_other_numbers(tmp_path / "anew", tmp_path / "package", 4)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"id": [1, 2], "raw": ["a", "a"]}, "raw holds 'a' twice"),
        ({"id": [1, 1], "raw": ["a", "b"]}, "id holds 1 twice"),
        ({"id": [0, 1], "raw": ["a", "b"]}, "a value of id is missing"),
        ({"id": [1, 2], "raw": ["a", ""]}, "a value of raw is missing"),
        ({"id": [1, None], "raw": ["a", "b"]}, "a value of id is missing"),
        ({"id": ["1"], "raw": ["a"]}, "id is string and raw is string; must be an integer and a text"),
        ({"id": [1]}, "can't be read"),
    ],
)
def test_a_wrong_file_of_ids_is_refused(table: dict[str, Any], words: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(table), tmp_path / "item_ids.parquet")
    with pytest.raises(StepError, match=words):
        read_item_ids(tmp_path)
