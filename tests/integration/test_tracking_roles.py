"""MLflow's basic-auth app with our roles: the pipeline registers, the promoter promotes, nobody else does either."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.errors import StepError
from components.review.decide import Reviewer, approve, survey
from components.review.log import DECISION, log_of
from components.tracking.models import Models
from components.tracking.runs import run_for
from components.tracking.server import RefusedError, connect
from components.tracking.tags import CHALLENGER, CHAMPION, GATE, PREVIOUS
from tests.services.mlflow import MlflowServer, running_mlflow
from tests.services.registry import make_version

pytestmark = pytest.mark.integration

PASSWORDS = {name: f"{name}-needs-a-long-password" for name in ("admin", "pipeline", "promoter", "reader")}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\nadmin_username = admin\n"
        f"database_uri = sqlite:///{folder / 'auth.db'}\nadmin_password = {PASSWORDS['admin']}\n"
        "grant_default_workspace_access = true\nauth_cache_ttl_seconds = 60\n"
        "authorization_function = components.tracking.roles:authenticate\n"
    )
    environment = {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "for a test",
        "PYTHONPATH": str(ROOT),
    }
    backend, options = f"sqlite:///{folder / 'mlflow.db'}", ("--app-name", "basic-auth")
    with running_mlflow(folder, backend, str(folder / "artifacts"), options, environment) as server:
        yield server


@pytest.fixture
def acting(monkeypatch: pytest.MonkeyPatch) -> "Account":
    return Account(monkeypatch)


class Account:
    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch

    def become(self, name: str) -> None:
        self.patch.setenv("MLFLOW_TRACKING_USERNAME", name)
        self.patch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORDS[name])
        self.patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def grant_roles(guarded: MlflowServer, models: Models) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the client's module imports MLflow's whole server
        from mlflow.server.auth.client import AuthServiceClient

    accounts = AuthServiceClient(guarded.uri)
    for name in ("pipeline", "promoter", "reader"):
        accounts.create_user(name, PASSWORDS[name])
    models.ensure("rankers")
    log_of(models).ensure("decisions")
    for name, model, permission in (
        ("pipeline", models.name, "EDIT"),
        ("promoter", models.name, "MANAGE"),
        ("promoter", log_of(models).name, "EDIT"),
    ):
        accounts.grant_user_permission(name, "registered_model", model, permission)


def test_only_the_promoter_moves_the_champion(guarded: MlflowServer, acting: "Account", tmp_path: Path) -> None:
    models = Models(connect(guarded.uri), "mmctr")
    acting.become("admin")
    grant_roles(guarded, models)

    acting.become("pipeline")
    number = make_version(models, tmp_path)
    assert models.aliases() == {CHALLENGER: number}
    for alias in (CHAMPION, PREVIOUS):
        with pytest.raises(RefusedError, match="only a promoter"):
            models.set_alias(alias, number)
        with pytest.raises(RefusedError):
            models.delete_alias(alias)
    for key in (GATE, DECISION, "validation_status"):
        with pytest.raises(RefusedError, match="only a promoter"):
            models.set_tag(number, key, "pass")
    with pytest.raises(RefusedError):
        models.server.call("create_model_version", log_of(models).name, f"models:/mmctr/{number}")
    with pytest.raises(StepError, match="refused"):
        approve(models, number, Reviewer("pipeline", "let me"))
    assert log_of(models).versions() == []

    acting.become("reader")
    assert survey(models)[0].status(number) == "pending"
    with pytest.raises(StepError, match="refused"):
        approve(models, number, Reviewer("reader", "let me"))

    acting.become("promoter")
    assert approve(models, number, Reviewer("Ada", "it is good")).champion == number
    assert models.aliases() == {CHAMPION: number}


@pytest.mark.parametrize(("user", "password"), [("pipeline", "wrong"), ("nobody", "wrong")])
def test_a_wrong_password_is_one_line(
    guarded: MlflowServer, monkeypatch: pytest.MonkeyPatch, user: str, password: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    with pytest.raises(RefusedError, match="MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"):
        run_for("any", "any", connect(guarded.uri))
