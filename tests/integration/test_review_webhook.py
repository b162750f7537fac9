"""MLflow's own webhook, signed by MLflow, promotes a version."""

import http.client
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from components.review.webhook import PROMOTE, Gatekeeper, Receiver
from components.tracking.decisions import log_of
from components.tracking.models import Models
from components.tracking.server import connect
from components.tracking.tags import CHAMPION
from tests.services.mlflow import MlflowServer
from tests.services.registry import make_version

pytestmark = pytest.mark.integration
SECRET = "shared by MLflow and us"


@pytest.fixture
def receiver(mlflow_on_postgres: MlflowServer) -> Iterator[Receiver]:
    models = Models(connect(mlflow_on_postgres.uri), "told")
    listening = Receiver(models, Gatekeeper(SECRET), "127.0.0.1", 0)
    thread = threading.Thread(target=listening.run)
    thread.start()
    yield listening
    listening.stop()
    thread.join()


def until_told(receiver: Receiver, count: int) -> str:
    deadline = time.monotonic() + 60
    while len(receiver.outcomes) < count:
        assert time.monotonic() < deadline, "MLflow's webhook did not arrive"
        time.sleep(0.05)
    return receiver.outcomes[count - 1]


def test_a_tag_set_in_mlflow_promotes_after_the_same_checks(receiver: Receiver, tmp_path: Path) -> None:
    from mlflow.entities.webhook import WebhookEvent

    models = receiver.models
    event = WebhookEvent.from_str("model_version_tag.set")
    hook = models.server.call("create_webhook", "promotions", receiver.url, [event], secret=SECRET)
    number = make_version(models, tmp_path)
    models.set_tag(number, PROMOTE, "Ada: better on new items")
    assert until_told(receiver, 1).startswith("Ada (webhook ")
    assert models.aliases()[CHAMPION] == number

    late = make_version(models, tmp_path)  # compared with no champion, but there is one by now
    models.set_tag(late, PROMOTE, "Bob: mine too")
    assert "was compared with champion none, but the champion is 1" in until_told(receiver, 2)
    assert models.aliases()[CHAMPION] == number
    assert len(log_of(models).versions()) == 1
    models.server.call("delete_webhook", hook.webhook_id)


@pytest.mark.parametrize(
    ("body", "status"), [(b'{"entity": "model_version_tag"}', 401), (b"", 413)], ids=["forged", "empty"]
)
def test_what_mlflow_did_not_sign_is_refused(receiver: Receiver, body: bytes, status: int) -> None:
    connection = http.client.HTTPConnection(urlsplit(receiver.url).netloc, timeout=10)
    connection.request("POST", "/", body, {"X-MLflow-Signature": "v1,AAAA"})
    assert connection.getresponse().status == status
    connection.close()
    assert receiver.outcomes == []
