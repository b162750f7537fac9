"""The binary form of the Open Inference Protocol, in the layout that Triton's and KServe's clients send and read."""

import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from components.serve.tensors import HEADER_LENGTH, InferRequest, read
from tests.unit.serve.test_app import CANDIDATES, ROWS, application, served_version, tensors

INFER = "/v2/models/mmctr/infer"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with application(served_version()) as made:
        yield made


def binary(columns: dict[str, Any], **request: Any) -> tuple[bytes, dict[str, str]]:
    """(body, headers), as `tritonclient.http` makes them."""
    inputs, behind = [], []
    for name, values in columns.items():
        array = np.asarray(values, dtype="<i8")
        behind.append(array.tobytes())
        shape = list(array.shape)
        parameters = {"binary_data_size": len(behind[-1])}
        inputs.append({"name": name, "shape": shape, "datatype": "INT64", "parameters": parameters})
    head = json.dumps({"inputs": inputs, **request}).encode()
    headers = {HEADER_LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
    return head + b"".join(behind), headers


def outputs_of(answer: Any) -> dict[str, Any]:
    """As `tritonclient.http` reads them."""
    length = int(answer.headers[HEADER_LENGTH])
    head, behind, found = json.loads(answer.content[:length]), answer.content[length:], {}
    for output in head["outputs"]:
        size = output["parameters"]["binary_data_size"]
        kind = {"FP64": "<f8", "FP32": "<f4", "BOOL": "?"}[output["datatype"]]
        found[output["name"]] = np.frombuffer(behind[:size], kind).reshape(output["shape"])
        behind = behind[size:]
    assert not behind
    return found


ONE_USER = {"item_seq": [[3, 1, 2]], **CANDIDATES}


def test_both_forms_give_the_same_scores(client: TestClient) -> None:
    plain = client.post(INFER, json={"inputs": tensors()}).json()["outputs"]
    histories = [[0] * (3 - len(row["item_seq"])) + row["item_seq"] for row in ROWS]
    body, headers = binary({"item_seq": histories, **CANDIDATES}, parameters={"binary_data_output": True})
    found = outputs_of(client.post(INFER, content=body, headers=headers))
    for output in plain:
        assert found[output["name"]].tolist() == pytest.approx(output["data"], abs=1e-6)


def test_one_history_stands_for_all_rows(client: TestClient) -> None:
    ranked = client.post("/rank", json={"item_seq": [3, 1, 2], **CANDIDATES}).json()
    body, headers = binary(ONE_USER)
    answer = client.post(INFER, content=body, headers=headers).json()  # outputs are JSON where they are not asked for
    assert {output["name"]: output["data"] for output in answer["outputs"]}["probability"] == ranked["scores"]


def test_outputs_are_chosen_one_by_one(client: TestClient) -> None:
    outputs = [{"name": "logit", "parameters": {"binary_data": True}}, {"name": "known_item"}]
    body, headers = binary(ONE_USER, outputs=outputs)
    answer = client.post(INFER, content=body, headers=headers)
    length = int(answer.headers[HEADER_LENGTH])
    logit, known = json.loads(answer.content[:length])["outputs"]
    assert (logit["name"], known["name"], known["data"]) == ("logit", "known_item", [True, True, True, False, False])
    assert len(answer.content) - length == logit["parameters"]["binary_data_size"] == 5 * 4


def test_texts_have_their_length_before_them() -> None:
    texts = ["phone", "", "téléphone"]
    behind = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)
    size = {"binary_data_size": len(behind)}
    head = json.dumps({"inputs": [{"name": "device", "shape": [3], "datatype": "BYTES", "parameters": size}]}).encode()
    _, values = read(head + behind, str(len(head)))
    assert values == {"device": texts}


@pytest.mark.parametrize(("kind", "values"), [("BOOL", [True, False]), ("FP16", [0.5, 2.0]), ("UINT8", [7, 255])])
def test_every_type_is_read(kind: str, values: list[Any]) -> None:
    behind = np.array(values, {"BOOL": "?", "FP16": "<f2", "UINT8": "<u1"}[kind]).tobytes()
    size = {"binary_data_size": len(behind)}
    head = json.dumps({"inputs": [{"name": "x", "shape": [2], "datatype": kind, "parameters": size}]}).encode()
    assert list(read(head + behind, str(len(head)))[1]["x"]) == values


def test_the_extension_is_announced(client: TestClient) -> None:
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert (
        InferRequest.model_fields.keys()
        == client.get("/openapi.json")
        .json()["paths"][INFER]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
        .keys()
    )


BODY, HEADERS = binary(ONE_USER)
TEXTS, TEXT_HEADERS = binary({**ONE_USER, "likes_level": [2**40] * 5})


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (BODY, {HEADER_LENGTH: "1000000"}, 400, "must be a number up to the body's"),
        (BODY, {HEADER_LENGTH: "-1"}, 400, "must be a number up to"),
        (BODY, {HEADER_LENGTH: "٣"}, 400, "must be a number up to"),
        (BODY, {HEADER_LENGTH: "10"}, 400, "the body is no JSON"),
        (BODY, {}, 400, "the body is no JSON"),
        (BODY[:-8], HEADERS, 422, "bytes, but"),
        (BODY + b"x", HEADERS, 422, "bytes, but"),
        (BODY.replace(b'"INT64"', b'"INT32"'), HEADERS, 422, "item_seq: 6 values do not fill the shape [1, 3]"),
        (BODY.replace(b'"INT64"', b'"BYTES"'), HEADERS, 422, "item_seq: its bytes are no texts with their lengths"),
        (BODY.replace(b'"INT64"', b'"INT99"'), HEADERS, 422, "24 bytes can't be values of the datatype 'INT99'"),
        (
            BODY.replace(b": 24}", b": -4}"),
            HEADERS,
            422,
            "binary_data_size: Input should be greater than or equal to 0",
        ),
        (TEXTS, TEXT_HEADERS, 422, "likes_level.0: must be a whole number from 0 to 10 (given: 1099511627776)"),
        (*binary(ONE_USER, outputs=[{"name": "loss"}]), 422, "outputs: loss is none of probability, logit, known_item"),
        (*binary({**ONE_USER, "item_id": [5, -9, 2, 3, 4]}), 422, "item_id.1: must be a whole number from 1 to"),
    ],
)
def test_wrong_bytes_are_refused(
    body: bytes, headers: dict[str, str], status: int, words: str, client: TestClient
) -> None:
    answer = client.post(
        INFER, content=body, headers={name.encode(): value.encode() for name, value in headers.items()}
    )
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text
