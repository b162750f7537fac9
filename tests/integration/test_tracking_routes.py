"""Every route of MLflow x account x place of the model's name x content type, asked of a real server.

Neither a reader nor the pipeline may change the model `mmctr` by any of them. The table of routes is MLflow's own, so a
route that a new version adds is asked too.
"""

import base64
import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from components.review.decide import Reviewer, approve
from components.tracking.decisions import DECISION
from components.tracking.models import Models
from components.tracking.server import connect
from tests.services.guarded_mlflow import PASSWORDS, routes, running_guarded
from tests.services.mlflow import MlflowServer
from tests.services.registry import make_version

pytestmark = pytest.mark.integration
OWN, VICTIM = "readers-own", "mmctr"
PUBLIC = ("/health", "/static", "/favicon.ico")  # MLflow answers these without an account


@dataclass
class Client:
    """Keeps one connection; MLflow hears exactly what is given here."""

    uri: str
    account: str | None

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(self.uri).netloc, timeout=60)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception: object) -> None:
        self.connection.close()

    def ask(self, method: str, path: str, query: str = "", body: bytes = b"", kind: str = "") -> tuple[int, bytes]:
        headers = {"Content-Type": kind} if kind else {}
        if self.account:
            pair = f"{self.account}:{PASSWORDS[self.account]}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        self.connection.request(method, f"{path}?{query}" if query else path, body or None, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    found = routes(tmp_path_factory.mktemp("routes"))
    assert len(found) > 500
    return found


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with running_guarded(tmp_path_factory.mktemp("guarded"), VICTIM) as server:
        yield server


@pytest.fixture(scope="module")
def victim(guarded: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Models:
    """An approved champion, and a model that the reader made and manages."""
    models, scratch = Models(connect(guarded.uri), VICTIM), tmp_path_factory.mktemp("package")
    with pytest.MonkeyPatch.context() as patch:
        for account in ("pipeline", "promoter", "reader"):
            patch.setenv("MLFLOW_TRACKING_USERNAME", account)
            patch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORDS[account])
            if account == "pipeline":
                make_version(models, scratch)
            elif account == "promoter":
                approve(models, 1, Reviewer("Ada", "it is good"))
            else:
                Models(models.server, OWN).ensure("a model of their own")
    return models


def state(client: Client) -> dict[str, bytes]:
    """All that the registry holds of the model and of its log."""
    found = {}
    for name in (VICTIM, f"{VICTIM}-decisions"):
        query = urlencode({"name": name})
        found[name] = client.ask("GET", "/api/2.0/mlflow/registered-models/get", query)[1]
        query = urlencode({"filter": f"name = '{name}'"})
        found[f"{name}, versions"] = client.ask("GET", "/api/2.0/mlflow/model-versions/search", query)[1]
    return found


def fields(name: str) -> dict[str, Any]:
    """One body for all routes: MLflow ignores what a route does not know."""
    return {
        "name": name,
        "version": "1",
        "alias": "CHAMPION",
        "key": DECISION,
        "value": "1:0",
        "new_name": "renamed",
        "description": "rewritten",
        "stage": "Archived",
        "source": "models:/mmctr/1",
        "run_id": "0" * 32,
        "tags": [{"key": DECISION, "value": "1:0"}],
        "username": "promoter",
        "password": "a-stolen-password-1",
        "is_admin": True,
        "resource_type": "registered_model",
        "resource_id": name,
        "permission": "MANAGE",
        "registered_model_name": name,
        "role_id": 1,
        "url": "https://example.org",
        "events": [],
        "webhook_id": "1",
    }


def attempts() -> Iterator[tuple[str, bytes, str]]:
    """Query, body and content type: the victim named in either place, and each of them beside the account's own."""
    own, other = fields(OWN), fields(VICTIM)
    in_query = {
        name: urlencode({k: v for k, v in of.items() if isinstance(v, str)})
        for name, of in (("own", own), ("other", other))
    }
    body = json.dumps(other).encode()
    twice = json.dumps(json.dumps(other)).encode()  # MLflow still reads JSON that old clients encoded twice
    both = json.dumps({**own, **other}).encode().replace(b'"name": "mmctr"', b'"name": "readers-own", "name": "mmctr"')
    for kind in ("text/plain", "application/json", ""):
        yield "", body, kind
        yield in_query["own"], body, kind
        yield in_query["other"], json.dumps(own).encode(), kind
    yield in_query["other"], b"", "application/json"
    yield in_query["own"], body, "application/vnd.mlflow+json"
    yield in_query["own"], twice, "application/json"
    yield in_query["own"], both, "application/json"
    yield in_query["own"], in_query["other"].encode(), "application/x-www-form-urlencoded"


def filled(path: str) -> str:
    """The route's path with something in the place of its parameters."""
    path = re.sub(r"<path:\w+>|{\w+:path}", "1/models/x", path)
    return re.sub(r"<(?:\w+:)?\w+>|{\w+}", "1", path)


@pytest.mark.slow
@pytest.mark.usefixtures("victim")
@pytest.mark.parametrize("account", ["reader", "pipeline"])
def test_no_request_of_a_lesser_account_changes_the_model(
    account: str, guarded: MlflowServer, table: list[tuple[str, str]]
) -> None:
    with Client(guarded.uri, account) as client:
        before, asked = state(client), 0
        assert b'"champion"' in before[VICTIM]
        for method, path in table:
            if method in ("GET", "HEAD", "OPTIONS"):
                continue
            for query, body, kind in attempts():
                _, answer = client.ask(method, filled(path), query, body, kind)
                asked += 1
                if b"is not open to this account" in answer:
                    break  # refused for its route, whatever it asks for
            assert state(client) == before, f"{method} {path}"
        assert asked > 800


@pytest.mark.usefixtures("victim")
def test_only_listed_routes_are_open(guarded: MlflowServer, table: list[tuple[str, str]]) -> None:
    """The rest is refused until somebody has looked at it: users, roles, webhooks, gateways, and whatever is new."""
    opened = set()
    with Client(guarded.uri, "pipeline") as client:
        for method, path in table:
            if path.startswith(PUBLIC) or method in ("HEAD", "OPTIONS"):
                continue
            body = b"" if method == "GET" else b"{}"
            status, answer = client.ask(method, filled(path), "", body, "application/json")
            if b"is not open to this account" not in answer and status not in (401, 404, 405):
                opened.add(re.sub(r"^/(ajax-)?api/\d\.\d", "", path))
    for family in (
        "users/create",
        "users/permissions",
        "roles",
        "webhooks",
        "gateway",
        "v1/traces",
        "jobs",
        "assistant",
        "transition-stage",
        "rename",
        "mcp",
        "scorers",
        "datasets/create",
    ):
        assert not [path for path in opened if family in path], family
    assert {"/mlflow/runs/log-batch", "/mlflow/registered-models/alias"} <= opened


def test_nobody_comes_in_without_an_account(guarded: MlflowServer, table: list[tuple[str, str]]) -> None:
    with Client(guarded.uri, None) as client:
        for method, path in table:
            if path.startswith(PUBLIC) or path.endswith("/mlflow/server-info"):
                continue
            status, answer = client.ask(method, filled(path), urlencode({"name": VICTIM}))
            assert status in (401, 403, 404, 405), f"{method} {path}: {status} {answer[:200]!r}"


@pytest.mark.usefixtures("victim")
def test_a_get_with_a_body_is_refused(guarded: MlflowServer) -> None:
    path, named = "/api/2.0/mlflow/registered-models/get", {"name": VICTIM}
    with Client(guarded.uri, "reader") as client:
        assert client.ask("GET", path, urlencode(named))[0] == 200
        status, answer = client.ask("GET", path, "", json.dumps(named).encode(), "application/json")
        assert (status, b"takes no body" in answer) == (403, True)
