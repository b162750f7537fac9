"""Serving follows the registry: a new champion is loaded beside the old one, checked, and swapped in."""

import threading
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from starlette.testclient import TestClient

from components.serve import version as room
from components.serve.app import make_app
from components.serve.follow import Follower
from components.serve.limits import Queue
from components.tracking.models import Models
from components.tracking.pyfunc import scored_example
from components.tracking.server import Server, connect, sqlite_file
from components.tracking.tags import STATUS
from tests.services.candidate import make_candidate
from tests.unit.serve.test_app import RANK

# MLflow warns at import that it does not check the types of `predict`, which the served model does itself.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Two versions, of different weights."""
    folder = tmp_path_factory.mktemp("registry")
    server = connect(f"sqlite:///{folder / 'mlflow.db'}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server.uri)
        for seed in (1, 2):
            make_candidate(folder / str(seed), seed).register(f"run-{seed}", folder / f"registration-{seed}")
    return Models(server, "mmctr")


@pytest.fixture
def models(registry: Models) -> Models:
    if "champion" in registry.aliases():
        registry.delete_alias("champion")
    return registry


@pytest.fixture(scope="module")
def once() -> Any:
    """MLflow takes seconds to load a version and score its example: once for all tests."""
    return cache(scored_example)


@pytest.fixture
def follower(models: Models, registry: Models, once: Any, monkeypatch: pytest.MonkeyPatch) -> Follower:
    monkeypatch.setattr(room, "scored_example", once)
    file = sqlite_file(registry.server.uri)
    assert file is not None
    return Follower(models, "champion", file.with_name("cache"), every=0.01)


def test_it_waits_for_a_champion_and_follows_an_approval_and_a_rollback(models: Models, follower: Follower) -> None:
    follower.look()
    assert (follower.current, follower.problem) == (None, "mmctr has no version at alias 'champion' yet")
    for number in (1, 2, 1):
        models.set_alias("champion", number)
        follower.look()
        follower.look()
        assert follower.current is not None
        assert (follower.current.number, follower.problem) == (number, "")
    assert (follower.swaps, follower.failures) == (3, 0)


def test_a_pinned_version_stays_whatever_the_alias_says(models: Models, follower: Follower) -> None:
    models.set_alias("champion", 1)
    follower.number = 0
    follower.look()
    assert (follower.current, follower.problem) == (None, "no version is chosen yet: --version is 0")
    follower.number = 2
    follower.look()
    assert follower.current is not None
    assert (follower.current.number, follower.problem) == (2, "")
    models.set_alias("champion", 1)
    follower.look()
    assert (follower.current.number, follower.problem, follower.swaps) == (2, "", 1)


def test_a_pinned_challenger_that_is_rejected_is_not_served_on(models: Models, follower: Follower) -> None:
    follower.number, follower.optional = 2, True
    follower.look()
    assert follower.swaps == 1
    models.set_tag(2, STATUS, "rejected")
    try:
        follower.look()
        assert (follower.current, follower.problem) == (None, "mmctr version 2 was rejected")
    finally:
        models.set_tag(2, STATUS, "pending")


def test_a_pinned_version_that_is_not_there_is_named(follower: Follower) -> None:
    follower.number = 7
    follower.look()
    assert (follower.current, follower.problem) == (None, "mmctr has no version 7; there is: 1, 2")


def test_no_request_is_lost_or_mixed_while_versions_change(models: Models, follower: Follower) -> None:
    models.set_alias("champion", 1)
    follower.look()
    answers: list[dict[str, Any]] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            answer = client.post("/rank", json=RANK)
            answers.append({"status": answer.status_code, **answer.json()})

    with TestClient(make_app("mmctr", follower, Queue(32, 60.0))) as client:
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for number in (2, 1, 2):
                models.set_alias("champion", number)
                follower.look()
                seen = len(answers)
                while len(answers) < seen + 8:  # each version answers some
                    ended.wait(0.01)
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    assert {answer["status"] for answer in answers} == {200}
    scores: dict[int, set[tuple[float, ...]]] = {}
    for answer in answers:
        scores.setdefault(answer["version"], set()).add(tuple(answer["scores"]))
    assert {version: len(found) for version, found in scores.items()} == {1: 1, 2: 1}
    assert scores[1] != scores[2]


def test_when_the_registry_is_down_it_serves_on_and_says_so(
    models: Models, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.set_alias("champion", 1)
    follower.look()
    address = "http://127.0.0.1:9"
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(follower, "models", Models(Server(address, MlflowClient(address, address)), "mmctr"))
    follower.look()
    with TestClient(make_app("mmctr", follower, Queue(32, 60.0))) as client:
        assert client.post("/rank", json=RANK).json()["version"] == 1
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert "MLflow at http://127.0.0.1:9 failed" in ready.json()["problem"]
        assert "mmctr_registry_problem 1.0" in client.get("/metrics").text
        monkeypatch.setattr(follower, "models", models)
        follower.look()
        assert client.get("/readyz").json() == {"status": "ready", "version": 1, "problem": ""}


def test_a_version_whose_files_were_changed_is_not_served(models: Models, follower: Follower, tmp_path: Path) -> None:
    models.set_alias("champion", 1)
    follower.look()
    follower.cache = tmp_path / "empty"
    source = models.server.call("get_model_version_download_uri", "mmctr", "2")
    code = next(Path(source.removeprefix("file://")).rglob("serving_model.py"))
    before = code.read_text()
    code.write_text(f"{before}\nraise SystemExit('executed')\n")
    try:
        models.set_alias("champion", 2)
        follower.look()
    finally:
        code.write_text(before)
    assert follower.current is not None
    assert follower.current.number == 1
    assert "version 2 are not the ones that were registered or approved" in follower.problem
    assert follower.failures == 1


def test_a_version_that_scores_its_example_otherwise_is_not_served_and_tried_again_later(
    models: Models, follower: Follower, once: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.set_alias("champion", 1)
    follower.look()
    honest = once
    monkeypatch.setattr(room, "scored_example", lambda folder: (honest(folder)[0], honest(folder)[1] + 1e-3))
    models.set_alias("champion", 2)
    follower.look()
    assert follower.current is not None
    assert (follower.current.number, follower.failures) == (1, 1)
    assert "version 2 is not served: its example is scored 1.0e-03 away" in follower.problem
    monkeypatch.setattr(room, "scored_example", honest)
    while follower.current.number == 1:
        follower.look()
    assert (follower.current.number, follower.problem) == (2, "")


def test_an_unexpected_error_does_not_stop_following_the_registry(
    models: Models, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slip(*_: object) -> None:
        raise ZeroDivisionError("a slip")

    models.set_alias("champion", 1)
    with monkeypatch.context() as patch:
        patch.setattr(room, "local_package", slip)
        follower.look()
    assert follower.problem == "a slip"
    while follower.current is None:
        follower.look()
    assert follower.problem == ""


def test_the_thread_looks_until_it_is_stopped(models: Models, follower: Follower) -> None:
    models.set_alias("champion", 1)
    follower.start()
    while follower.current is None:
        pass
    models.set_alias("champion", 2)
    while follower.current.number == 1:
        pass
    follower.stop()
