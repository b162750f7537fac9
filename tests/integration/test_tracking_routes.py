"""Every route of MLflow x account x place of the model's name x content type, asked of a real server.

Neither a reader nor the pipeline may change the model `mmctr` by any of them. The table of routes is MLflow's own, so a
route that a new version adds is asked too.
"""

import base64
import http.client
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
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
_REGISTRY_TABLES = (
    "registered_models",
    "registered_model_tags",
    "registered_model_aliases",
    "model_versions",
    "model_version_tags",
)
Routes = list[tuple[str, str]]  # method and path
PUBLIC = ("/health", "/static", "/favicon.ico")  # MLflow answers these without an account


@dataclass
class Client:
    """Keeps one connection; MLflow hears exactly what is given here."""

    uri: str
    account: str | None

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(self.uri).netloc, timeout=300)

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


def state(database: Path) -> str:
    """All that the registry holds of the model and of its log, and all permissions but on experiments."""
    names = (VICTIM, f"{VICTIM}-decisions")
    found: list[Any] = []
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as registry:
        for table in _REGISTRY_TABLES:
            found += registry.execute(f"select * from {table} where name in (?, ?) order by 1, 2, 3", names).fetchall()
    with closing(sqlite3.connect(f"file:{database.with_name('auth.db')}?mode=ro", uri=True)) as accounts:
        tables = [
            name for (name,) in accounts.execute("select name from sqlite_master where type = 'table' order by 1")
        ]
        rows = {table: accounts.execute(f"select * from {table}").fetchall() for table in tables}
        # Whoever makes an experiment manages it, and an account may make as many as it likes.
        found += [(table, [row for row in kept if "experiment" not in row]) for table, kept in rows.items()]
    return json.dumps(found, default=str)


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


def changing(table: Routes) -> Routes:
    return [(method, path) for method, path in table if method not in ("GET", "HEAD", "OPTIONS")]


def sample(table: Routes) -> Routes:
    """Under one of MLflow's three prefixes: all routes of the registry, and every tenth of the rest."""
    once = [(method, path) for method, path in changing(table) if not path.startswith("/ajax-api")]
    registry = [route for route in once if re.search("/(registered-models|model-versions)/", route[1])]
    return registry + [route for route in once if route not in registry][::10]


def attack(server: MlflowServer, account: str, routes: Routes) -> int:
    """Asks all of `routes` in every way, and returns how many requests that were."""
    database, asked = server.log.with_name("mlflow.db"), 0
    before = state(database)
    assert '"champion"' in before
    with Client(server.uri, account) as client:
        for method, path in routes:
            for query, body, kind in attempts():
                _, answer = client.ask(method, filled(path), query, body, kind)
                asked += 1
                if b"is not open to this account" in answer:
                    break  # refused for its route, whatever it asks for
            assert state(database) == before, f"{method} {path}"
    return asked


@pytest.mark.usefixtures("victim")
@pytest.mark.parametrize("account", ["reader", "pipeline"])
def test_no_request_of_a_lesser_account_changes_the_model(account: str, guarded: MlflowServer, table: Routes) -> None:
    assert attack(guarded, account, sample(table)) > 200


@pytest.mark.slow
@pytest.mark.usefixtures("victim")
@pytest.mark.parametrize("account", ["reader", "pipeline"])
def test_no_route_at_all_lets_a_lesser_account_change_the_model(
    account: str, guarded: MlflowServer, table: Routes
) -> None:
    assert attack(guarded, account, changing(table)) > 800


@pytest.mark.usefixtures("victim")
def test_only_listed_routes_are_open(guarded: MlflowServer, table: Routes) -> None:
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


def test_a_request_without_an_account_is_refused(guarded: MlflowServer, table: Routes) -> None:
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
