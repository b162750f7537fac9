"""MLflow's basic-auth app with our roles: the pipeline registers, the promoter promotes, nobody else does either."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.errors import StepError
from components.review.decide import Reviewer, approve, survey
from components.tracking import item_tables
from components.tracking.decisions import DECISION, log_of
from components.tracking.models import Models
from components.tracking.runs import run_for
from components.tracking.server import RegistryRefusedError, connect
from components.tracking.tags import CHALLENGER, CHAMPION, GATE, PREVIOUS
from tests.services.guarded_mlflow import PASSWORDS, grant, running_guarded
from tests.services.mlflow import MlflowServer
from tests.services.registry import make_version

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with running_guarded(tmp_path_factory.mktemp("guarded"), "mmctr") as server:
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


def test_only_the_promoter_moves_the_champion(guarded: MlflowServer, acting: "Account", tmp_path: Path) -> None:
    models = Models(connect(guarded.uri), "mmctr")
    acting.become("pipeline")
    number = make_version(models, tmp_path)
    assert models.aliases() == {CHALLENGER: number}
    for alias in (CHAMPION, PREVIOUS, "CHAMPION", "Champion", "shadow"):
        with pytest.raises(RegistryRefusedError, match="only a promoter"):
            models.set_alias(alias, number)
        with pytest.raises(RegistryRefusedError):
            models.delete_alias(alias)
    for key in (GATE, DECISION, "validation_status"):
        with pytest.raises(RegistryRefusedError, match="only a promoter"):
            models.set_tag(number, key, "pass")
    for method, *arguments in (
        ("rename_registered_model", "mmctr", "mine"),
        ("update_registered_model", "mmctr", "another description"),
        ("update_model_version", "mmctr", str(number), "AUC 0.99"),
        ("delete_model_version", "mmctr", str(number)),
    ):
        with pytest.raises(RegistryRefusedError):
            models.server.call(method, *arguments)
    for born in ({DECISION: "1:abc"}, {"mmctr.decision.note": "x"}, {"validation_status": "approved"}):
        with pytest.raises(RegistryRefusedError, match="must be registered as pending"):
            models.create("models:/mmctr/1", born)
    with pytest.raises(RegistryRefusedError):
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
    for method, *arguments in (
        ("set_model_version_tag", log_of(models).name, "1", DECISION, "{}"),
        ("update_model_version", log_of(models).name, "1", "rewritten"),
        ("delete_model_version", log_of(models).name, "1"),
        ("delete_registered_model", log_of(models).name),
    ):
        with pytest.raises(RegistryRefusedError):  # even a promoter only adds to the log
            models.server.call(method, *arguments)


def test_a_reader_cannot_create_the_log_of_decisions(guarded: MlflowServer, acting: "Account") -> None:
    acting.become("reader")
    server = connect(guarded.uri)
    Models(server, "readers-own").ensure("a model of their own")  # whoever makes a model manages it
    log_of(Models(server, "readers-own")).ensure("and its log")
    acting.become("promoter")
    Models(server, "mmctr-next").ensure("a model that has no log yet")
    acting.become("reader")
    with pytest.raises(RegistryRefusedError, match="only a promoter"):
        log_of(Models(server, "mmctr-next")).ensure("its log")


def test_only_those_who_were_granted_it_publish_item_tables_and_nobody_changes_one(
    guarded: MlflowServer, acting: "Account", tmp_path: Path
) -> None:
    models, log = Models(connect(guarded.uri), "mmctr"), item_tables.log_of(Models(connect(guarded.uri), "mmctr"))

    def publish(by: str) -> None:
        entry = item_tables.new_entry("publish", number, "c" * 64, by, "a test")
        item_tables.add(models, item_tables.settle(models), dataclasses.replace(entry, table="d" * 64))

    acting.become("pipeline")
    number = make_version(models, tmp_path)
    for name in ("reader", "pipeline"):  # before a promoter made the log, and after
        acting.become(name)
        with pytest.raises(RegistryRefusedError, match="mmctr-items: this account may not publish item tables"):
            publish(name)
    acting.become("promoter")
    publish("Ada")
    acting.become("pipeline")
    with pytest.raises(RegistryRefusedError, match="this account may not publish item tables"):
        publish("pipeline")
    grant(guarded, "pipeline", log.name, "EDIT")
    publish("pipeline")
    tables = item_tables.read_tables(models)
    assert [entry.by for entry in tables.entries.values()] == ["Ada", "pipeline"]
    for name in ("pipeline", "promoter"):
        acting.become(name)
        with pytest.raises(RegistryRefusedError, match="mmctr-items is a log, to which entries may only be added"):
            log.set_tag(1, item_tables.ITEMS, "{}")
        with pytest.raises(RegistryRefusedError):
            log.delete(1)


@pytest.mark.parametrize(("user", "password"), [("pipeline", "wrong"), ("nobody", "wrong")])
def test_a_wrong_password_is_one_line(
    guarded: MlflowServer, monkeypatch: pytest.MonkeyPatch, user: str, password: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    with pytest.raises(RegistryRefusedError, match="MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"):
        run_for("any", "any", connect(guarded.uri))
