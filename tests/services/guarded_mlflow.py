"""An MLflow server with accounts and our roles, as a cluster runs it, and the table of all its routes."""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from components.tracking.decisions import log_of
from components.tracking.models import Models
from components.tracking.server import connect
from tests.services.mlflow import MlflowServer, running_mlflow

PASSWORDS = {name: f"{name}-needs-a-long-password" for name in ("admin", "pipeline", "promoter", "reader")}
_ROOT = Path(__file__).parents[2]
_PRINT_ROUTES = """
import json
from mlflow.server import auth
app = auth.create_app()
native = [(m, r.path) for r in app.routes for m in getattr(r, "methods", None) or []]
flask = [(m, r.rule) for r in auth.app.url_map.iter_rules() for m in r.methods]
print("ROUTES" + json.dumps(sorted({*native, *flask})))
"""


def _environment(folder: Path) -> dict[str, str]:
    (folder / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\nadmin_username = admin\n"
        f"database_uri = sqlite:///{folder / 'auth.db'}\nadmin_password = {PASSWORDS['admin']}\n"
        "grant_default_workspace_access = true\nauth_cache_ttl_seconds = 600\n"
        "authorization_function = components.tracking.roles:authenticate\n"
    )
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "for a test",
        "PYTHONPATH": str(_ROOT),
    }


@contextmanager
def running_guarded(folder: Path, model: str) -> Iterator[MlflowServer]:
    """With a pipeline account that may edit `model`, a promoter who manages it, and a reader."""
    folder.mkdir(parents=True, exist_ok=True)
    backend, options = f"sqlite:///{folder / 'mlflow.db'}", ("--app-name", "basic-auth")
    with running_mlflow(folder, backend, str(folder / "artifacts"), options, _environment(folder)) as server:
        _grant_roles(server, model)
        yield server


def routes(folder: Path) -> list[tuple[str, str]]:
    """Every method and path that this version of MLflow answers, asked in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **_environment(folder), "_MLFLOW_SGI_NAME": "uvicorn"}
    environment["MLFLOW_BACKEND_STORE_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
    command = [sys.executable, "-W", "ignore", "-c", _PRINT_ROUTES]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [(method, path) for method, path in json.loads(done.stdout.split("ROUTES")[1])]


def grant(server: MlflowServer, account: str, registered: str, permission: str) -> None:
    with _administering(server) as accounts:
        accounts.grant_user_permission(account, "registered_model", registered, permission)


def _grant_roles(server: MlflowServer, model: str) -> None:
    with _administering(server) as accounts:
        models = Models(connect(server.uri), model)
        for name in ("pipeline", "promoter", "reader"):
            accounts.create_user(name, PASSWORDS[name])
        models.ensure("rankers")
        log_of(models).ensure("decisions")
    for name, registered, permission in (
        ("pipeline", model, "EDIT"),
        ("promoter", model, "MANAGE"),
        ("promoter", log_of(models).name, "EDIT"),
    ):
        grant(server, name, registered, permission)


@contextmanager
def _administering(server: MlflowServer) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the client's module imports MLflow's whole server
        from mlflow.server.auth.client import AuthServiceClient

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
        patch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORDS["admin"])
        yield AuthServiceClient(server.uri)
