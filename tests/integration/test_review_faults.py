"""Decisions when the server loses answers, or fails for good in the middle."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.errors import StepError
from components.review.decide import Reviewer, approve
from components.review.settle import settle
from components.tracking.decisions import log_of
from components.tracking.models import Models
from components.tracking.server import connect
from tests.services.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from tests.services.mlflow import MlflowServer
from tests.services.registry import champions, with_champions

pytestmark = pytest.mark.integration
ADA = Reviewer("Ada", "better on cold items")
GIVEN_UP_AFTER = 5  # seconds


@pytest.fixture
def proxy(mlflow_on_sqlite: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    for variable, value in (("MAX_RETRIES", "2"), ("BACKOFF_FACTOR", "0"), ("BACKOFF_JITTER", "0")):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{variable}", value)
    with faulty_proxy(mlflow_on_sqlite.uri) as running:
        yield running


@pytest.fixture
def models(proxy: FaultyProxy, tmp_path: Path, request: pytest.FixtureRequest) -> Models:
    made = Models(connect(proxy.uri), "".join(filter(str.isalnum, request.node.name)))
    with_champions(made, tmp_path)
    return made


@pytest.mark.parametrize("fault", ["500", "slow", "lost-request", "lost-answer"])
def test_a_decision_whose_answer_was_lost_counts_once(
    models: Models, proxy: FaultyProxy, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.fail("POST .*/model-versions/create", fault, seconds=GIVEN_UP_AFTER + 1)
    if fault == "slow":  # the other requests of a busy machine get all the time that they need
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(GIVEN_UP_AFTER))
    assert approve(models, 3, ADA).champion == 3
    registry, mended = settle(models)
    assert mended == []
    assert len(registry.book.decisions) == 3
    # Where the server had heard the first request, the repeated one is in the log too, and void.
    assert len(log_of(models).versions()) == 3 + len(registry.book.void)
    if fault != "slow":  # whether the server still hears a request that was given up is a race
        assert len(registry.book.void) == (fault == "lost-answer")


@pytest.mark.parametrize(
    ("path", "counts"),
    [("model-versions/create", False), ("model-versions/set-tag", True), ("registered-models/alias", True)],
)
def test_a_server_that_fails_for_good_is_told_and_the_next_command_finishes(
    models: Models, proxy: FaultyProxy, path: str, counts: bool
) -> None:
    proxy.fail(f"(POST|DELETE) .*/{path}", "500", times=-1)
    with pytest.raises(StepError, match="run the same command once more"):
        approve(models, 3, ADA)
    proxy.heal()
    assert (len(settle(models)[0].book.decisions) == 3) is counts
    outcome = approve(models, 3, ADA)
    assert ("already" in outcome.sentence) is counts
    assert champions(models) == (3, 2)
    assert len(log_of(models).versions()) == 3
