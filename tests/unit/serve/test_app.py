"""The HTTP routes: what they answer, and how each wrong request is refused."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient

from benchmarks.refusals import WRONG
from components.predict.online import OnlineScorer
from components.serve.app import make_app
from components.serve.follow import Follower
from components.serve.limits import BODY_BYTES, Queue
from components.serve.version import ServedVersion
from tests.services.candidate import ITEMS, tiny_ranker

USER = [3, 1, 2, ITEMS + 7]  # the last one is unknown, and left out
CANDIDATES: dict[str, list[int]] = {
    "item_id": [5, 9, 2, ITEMS + 3, 2**40],
    "likes_level": [4, 0, 10, 1, 1],
    "views_level": [7, 0, 10, 2, 2],
}
RANK: dict[str, Any] = {"item_seq": USER, **CANDIDATES}
ROWS = [
    {"item_seq": [3, 1, 2] if row % 2 else [], **dict(zip(CANDIDATES, values, strict=True))}
    for row, values in enumerate(zip(*CANDIDATES.values(), strict=True))
]


def served_version(number: int = 3, seed: int = 1) -> ServedVersion:
    return ServedVersion(number, "c" * 64, OnlineScorer(tiny_ranker(seed), np.arange(ITEMS) > 0))


def application(current: ServedVersion | None, queue: Queue | None = None) -> TestClient:
    follower = Follower(None, "champion", None, 1.0, current=current)  # type: ignore[arg-type] # never asks a registry
    return TestClient(make_app("mmctr", follower, queue or Queue(32, 60.0)))


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with application(served_version()) as made:
        yield made


def expected(histories: list[list[int]]) -> list[float]:
    """What the training code says of the candidates; an unknown one is the padding item."""
    history = torch.zeros(len(histories), 6, dtype=torch.int64)
    for row, ids in enumerate(histories):
        if ids:
            history[row, -len(ids) :] = torch.tensor(ids)
    item = [item if item < ITEMS else 0 for item in CANDIDATES["item_id"]]
    codes = torch.tensor([CANDIDATES["likes_level"], CANDIDATES["views_level"]]).T
    with torch.no_grad():
        scores: list[float] = torch.sigmoid(
            tiny_ranker()(history, torch.tensor(item), codes, torch.zeros(len(item), 0)).double()
        ).tolist()
    return scores


def test_candidates_are_scored_and_ordered(client: TestClient) -> None:
    answer = client.post("/rank", json=RANK).json()
    scores = answer["scores"]
    assert scores == pytest.approx(expected([[3, 1, 2]] * 5), abs=1e-6)
    assert [scores[position] for position in answer["order"]] == sorted(scores, reverse=True)
    assert answer["known"] == [True, True, True, False, False]
    assert (answer["model"], answer["version"], answer["item_table"]) == ("mmctr", 3, "c" * 64)


def test_rows_are_scored_with_a_history_each(client: TestClient) -> None:
    answer = client.post("/score", json={"rows": ROWS}).json()
    assert answer["scores"] == pytest.approx(expected([row["item_seq"] for row in ROWS]), abs=1e-6)
    assert answer["known"] == [True, True, True, False, False]


def tensors(**changes: Any) -> list[dict[str, Any]]:
    """ROWS as the protocol's tensors."""
    columns: dict[str, dict[str, Any]] = {name: {"shape": [5], "data": values} for name, values in CANDIDATES.items()}
    columns["item_seq"] = {"shape": [5, 3], "data": [[0, 0, 0], [3, 1, 2], [0, 0, 0], [3, 1, 2], [0, 0, 0]]}
    for name, change in changes.items():
        columns[name] = {**columns[name], **change}
    return [{"name": name, "datatype": "INT64", **column} for name, column in columns.items()]


def test_the_open_inference_protocol_gives_the_same_scores(client: TestClient) -> None:
    rows = client.post("/score", json={"rows": ROWS}).json()
    answer = client.post("/v2/models/mmctr/infer", json={"id": "42", "inputs": tensors()}).json()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("42", "mmctr", "3")
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert outputs["probability"]["data"] == rows["scores"]
    assert outputs["known_item"]["data"] == rows["known"]
    assert outputs["logit"] == {"name": "logit", "datatype": "FP32", "shape": [5], "data": outputs["logit"]["data"]}
    described = client.get("/v2/models/mmctr").json()
    assert {output["name"] for output in described["outputs"]} == set(outputs)
    assert {tensor["name"] for tensor in described["inputs"]} == {tensor["name"] for tensor in tensors()}
    assert described["versions"] == ["3"]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/mmctr/ready").json() == {"name": "mmctr", "ready": True}
    assert client.get("/v2").json()["name"] == "mmctr"


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_refused_with_its_reason(case: str, client: TestClient) -> None:
    path, body, status, words = WRONG[case]
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert len(answer.content) < 500
    said = answer.json()["error"]
    for part in words.split(".*"):
        assert part in said


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (tensors()[:3], "inputs must be item_seq, item_id, likes_level and views_level, each once"),
        ([*tensors(), tensors()[0]], "each once"),
        (tensors(item_id={"shape": [4]}), "item_id: 5 values do not fill the shape"),
        (tensors(item_id={"shape": [5, 1, 1]}), "item_id: the shape [5, 1, 1] must have 1 dimensions"),
        (tensors(item_id={"datatype": "FP32"}), "item_id: datatype 'FP32'; must be INT64"),
        (
            tensors(item_id={"data": [1, 2, 3, 4, 0]}),
            "item_id.4: must be a whole number from 1 to 9223372036854775807 (given: 0)",
        ),
        (tensors(likes_level={"shape": [2], "data": [1, 1]}), "the same number of rows"),
        (tensors(views_level={"shape": [-5]}), "views_level: 5 values do not fill the shape"),
        (tensors(item_id={"data": [1, 2, 3, 4, 1.5]}), "item_id.4: must be a whole number from 1 to"),
        (
            tensors(item_id={"data": [1, 2, 3, 4, True]}),
            "item_id.4: must be a whole number from 1 to 9223372036854775807 (given: True)",
        ),
        (
            tensors(item_id={"data": [1, 2, 3, 4, 2**64]}),
            "item_id.4: must be a whole number from 1 to 9223372036854775807",
        ),
        (tensors(item_seq={"data": [[3, 1, -2]] * 5}), "item_seq.0.2: must be a whole number from 0 to"),
        (tensors(item_seq={"data": [[1]] * 20_002, "shape": [2, 10_001]}), "item_seq may have one for all of them"),
        (tensors(item_seq={"data": [[1]] * 10_001, "shape": [1, 10_001]}), "item_seq: must have at most 10,000 items"),
        (
            tensors(likes_level={"data": [1, 1, 1, 1, 11]}),
            "likes_level.4: must be a whole number from 0 to 10 (given: 11)",
        ),
        (tensors(likes_level={"data": None}), "likes_level must have either data or the parameter binary_data_size"),
        (tensors(item_id={"shape": [0], "data": []}), "the same number of rows, 1 to 2,000"),
    ],
)
def test_wrong_tensors_are_refused_with_their_reason(
    inputs: list[dict[str, Any]], words: str, client: TestClient
) -> None:
    answer = client.post("/v2/models/mmctr/infer", json={"inputs": inputs})
    assert answer.status_code == 422
    assert words in answer.json()["error"]


def test_wrong_methods_and_types_are_refused(client: TestClient) -> None:
    assert client.get("/rank").status_code == 405
    answer = client.post("/rank", content=json.dumps(RANK), headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422


def test_every_example_of_the_openapi_page_is_answered(client: TestClient) -> None:
    page = client.get("/openapi.json").json()
    for path, schema in (("/rank", "RankRequest"), ("/score", "ScoreRequest")):
        (example,) = page["components"]["schemas"][schema]["examples"]
        assert client.post(path, json=example).status_code == 200
        assert {"200", "400", "413", "422", "429", "503"} <= set(page["paths"][path]["post"]["responses"])


def test_without_a_version_it_is_alive_but_not_ready() -> None:
    with application(None) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        for path in ("/readyz", "/v2/health/ready", "/v2/models/mmctr"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["error"]) == (
                503,
                "no version is loaded: the registry was not asked yet",
            )
        assert client.post("/rank", json=RANK).status_code == 503


class Slow(OnlineScorer):
    """Scores when it is let go."""

    def __init__(self) -> None:
        super().__init__(tiny_ranker(), np.arange(ITEMS) > 0)
        self.begun, self.go_on = threading.Event(), threading.Event()

    def logits(self, *request: Any) -> Any:
        self.begun.set()
        assert self.go_on.wait(300)
        return super().logits(*request)


def test_a_full_queue_is_said_at_once_and_the_waiting_are_answered() -> None:
    slow, statuses = Slow(), []
    with application(ServedVersion(3, "", slow), Queue(1, 60.0)) as client:
        asking = [
            threading.Thread(target=lambda: statuses.append(client.post("/rank", json=RANK).status_code))
            for _ in range(2)  # one is scored, one waits
        ]
        asking[0].start()
        assert slow.begun.wait(300)
        asking[1].start()
        while "mmctr_queue 2.0" not in client.get("/metrics").text:
            pass
        refused = client.post("/rank", json=RANK)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert "too many requests" in refused.json()["error"]
        slow.go_on.set()
        for thread in asking:
            thread.join()
    assert statuses == [200, 200]


def test_the_time_limit_ends_a_request() -> None:
    slow = Slow()
    with application(ServedVersion(3, "", slow), Queue(1, 0.05)) as client:
        answer = client.post("/rank", json=RANK)
        assert (answer.status_code, answer.json()) == (503, {"error": "the time limit was reached"})
        slow.go_on.set()


def test_metrics_count_requests_items_and_the_version() -> None:
    with application(served_version()) as own:
        own.post("/rank", json=RANK)
        own.post("/rank", content=b"broken", headers={"Content-Type": "application/json"})
        own.get("/nowhere")
        text = own.get("/metrics").text
    for line in (
        'mmctr_requests_total{route="/rank",status="200"} 1.0',
        'mmctr_requests_total{route="/rank",status="400"} 1.0',
        'mmctr_requests_total{route="other",status="404"} 1.0',
        'mmctr_request_seconds_count{route="/rank"} 2.0',
        "mmctr_candidates_total 5.0",
        "mmctr_unknown_candidates_total 2.0",
        "mmctr_served_version 3.0",
        "mmctr_queue 0.0",
        "mmctr_registry_problem 1.0",
    ):
        assert line in text


def test_a_body_of_the_largest_size_is_read(client: TestClient) -> None:
    body = json.dumps(RANK).encode()
    answer = client.post("/rank", content=body + b" " * (BODY_BYTES - len(body)))
    assert answer.status_code == 422  # without a content type it is no JSON, but it was read
    answer = client.post(
        "/rank", content=body + b" " * (BODY_BYTES - len(body)), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 200
