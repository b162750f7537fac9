"""Which messages come in, and what they may ask for."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from components.review.decide import Reviewer
from components.review.webhook import FRESH, PROMOTE, Gatekeeper, Request, UntrustedError, asked, sign

SECRET, NOW = "a secret of sixteen", 1_795_000_000
BODY = b'{"entity": "model_version_tag"}'


def headers(delivery: str = "d-1", sent: int | str = NOW, secret: str = SECRET, body: bytes = BODY) -> dict[str, str]:
    signature = sign(secret, delivery, str(sent), body)
    return {"X-MLflow-Delivery-Id": delivery, "X-MLflow-Timestamp": str(sent), "X-MLflow-Signature": signature}


@pytest.fixture
def gatekeeper() -> Gatekeeper:
    return Gatekeeper(SECRET, clock=lambda: float(NOW))


def test_the_signature_is_the_one_that_mlflow_documents() -> None:
    digest = hmac.digest(SECRET.encode(), b"d-1.17950.body", hashlib.sha256)
    assert sign(SECRET, "d-1", "17950", b"body") == "v1," + base64.b64encode(digest).decode()


def test_a_message_comes_in_once(gatekeeper: Gatekeeper) -> None:
    assert gatekeeper.admit(headers(), BODY) == "d-1"
    assert gatekeeper.admit(headers("d-2"), BODY) == "d-2"
    with pytest.raises(UntrustedError, match="came before"):
        gatekeeper.admit(headers(), BODY)


@pytest.mark.parametrize(
    ("sent", "body", "why"),
    [
        pytest.param(headers(secret="another secret of it"), BODY, "signature", id="other secret"),
        pytest.param(headers(), BODY + b" ", "signature", id="changed body"),
        pytest.param({**headers(), "X-MLflow-Timestamp": str(NOW + 1)}, BODY, "signature", id="changed time"),
        pytest.param({**headers(), "X-MLflow-Delivery-Id": "d-9"}, BODY, "signature", id="changed id"),
        pytest.param({}, BODY, "signature", id="unsigned"),
        pytest.param(headers(sent=NOW - FRESH - 1), BODY, "more than 300 seconds", id="old"),
        pytest.param(headers(sent=NOW + FRESH + 1), BODY, "more than 300 seconds", id="from the future"),
        pytest.param(headers(sent="soon"), BODY, "sent at soon", id="no time"),
    ],
)
def test_other_messages_do_not(gatekeeper: Gatekeeper, sent: dict[str, str], body: bytes, why: str) -> None:
    with pytest.raises(UntrustedError, match=why):
        gatekeeper.admit(sent, body)


def test_ids_are_remembered_longer_than_messages_are_fresh() -> None:
    now = [float(NOW)]
    gatekeeper = Gatekeeper(SECRET, clock=lambda: now[0])
    gatekeeper.admit(headers(sent=NOW + FRESH), BODY)
    now[0] += 2 * FRESH - 1
    with pytest.raises(UntrustedError, match="came before"):
        gatekeeper.admit(headers(sent=NOW + FRESH), BODY)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="MMCTR_WEBHOOK_SECRET has 5 characters"):
        Gatekeeper("short")


def message(**data: Any) -> bytes:
    tag = {"name": "mmctr", "version": "3", "key": PROMOTE, "value": "Ada: holds on new items", **data}
    return json.dumps({"entity": "model_version_tag", "action": "set", "data": tag}).encode()


def test_the_tag_asks_for_an_approval() -> None:
    assert asked(message(), "mmctr", "d-1") == Request(3, Reviewer("Ada (webhook d-1)", "holds on new items"))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(message(name="another"), id="another model"),
        pytest.param(message(key="validation_status"), id="another tag"),
        pytest.param(json.dumps({"entity": "model_version", "action": "created"}).encode(), id="another event"),
    ],
)
def test_other_events_ask_for_nothing(body: bytes) -> None:
    assert asked(body, "mmctr", "d-1") is None


@pytest.mark.parametrize("value", ["", "no reason", ": nobody", "Ada:"])
def test_a_promotion_names_who_and_why(value: str) -> None:
    with pytest.raises(ValueError, match="is empty"):
        asked(message(value=value), "mmctr", "d-1")
