"""Somebody wipes the log from a real MLflow server; its proof lies in a real bucket, with accounts of its own."""

import json
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.review.decide import Reviewer, approve, survey
from components.review.settle import look, settle
from components.storage.objects import StoreRefusedError
from components.tracking.anchor import ANCHOR_VARIABLE, anchor_of
from components.tracking.decisions import DECISION, append, log_of
from components.tracking.models import Models
from components.tracking.server import URI_VARIABLE, connect
from tests.services.mlflow import MlflowServer
from tests.services.registry import champions, with_champions
from tests.services.s3 import S3Server, use_identity

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("as_writer")]
ADA = Reviewer("Ada", "better on cold items")


@pytest.fixture
def models(mlflow_on_sqlite: MlflowServer, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Models:
    monkeypatch.setenv(URI_VARIABLE, mlflow_on_sqlite.uri)
    monkeypatch.setenv(ANCHOR_VARIABLE, f"s3://{bucket}/audit")
    made = Models(connect(mlflow_on_sqlite.uri), tmp_path.name)
    with_champions(made, tmp_path)
    return made


def mmctr(*arguments: str) -> "subprocess.CompletedProcess[str]":
    program = "from pipelines.cli import main; main()"
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)


def request(models: Models, method: str, path: str, **body: str) -> None:
    """As anyone can send it who reaches a server without roles."""
    address = f"{models.server.uri}/api/2.0/mlflow/{path}"
    asked = urllib.request.Request(
        address, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(asked, timeout=300) as answer:
        assert answer.status == 200


def wipe(models: Models) -> None:
    request(models, "DELETE", "registered-models/delete", name=log_of(models).name)
    for alias in ("champion", "previous_champion"):
        request(models, "DELETE", "registered-models/alias", name=models.name, alias=alias)
    for number in ("1", "2"):
        request(models, "DELETE", "model-versions/delete-tag", name=models.name, version=number, key=DECISION)


def test_the_next_command_after_a_wipe_is_an_alarm(models: Models) -> None:
    wipe(models)
    by = ("--by", "Ada", "--note", "x")
    for arguments in (("review", "list"), ("review", "show", "3"), ("review", "approve", "3", *by), ("rollback", *by)):
        done = mmctr(*arguments, "--name", models.name)
        assert done.returncode == 1, arguments
        assert done.stderr.startswith(
            "mmctr: the audit log was tampered with: its 2 entries are gone, by what lies at s3:"
        )
        assert (done.stdout, done.stderr.count("\n")) == ("", 1)


def test_a_pipeline_does_not_take_a_wiped_log_for_a_first_model(models: Models, tmp_path: Path) -> None:
    wipe(models)
    program = (
        "import sys; from pathlib import Path; from components.fetch_champion.step import fetch_champion;"
        "fetch_champion(sys.argv[1], Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", program, models.name, str(tmp_path / "champion")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the audit log was tampered with: its 2 entries are gone" in done.stderr
    assert not (tmp_path / "champion" / "champion.json").exists()


def test_settlers_at_the_same_time_leave_one_object_for_each_entry(models: Models) -> None:
    append(models, look(models).book.decisions[2])  # void, and not anchored yet
    with ThreadPoolExecutor(4) as pool:
        registries = [registry for registry, _ in pool.map(lambda _: settle(models), range(4))]
    assert [registry.book.unanchored for registry in registries] == [{}] * 4
    anchor = anchor_of(models.server, models.name)
    assert anchor is not None
    assert [number for number, _ in anchor.proofs()] == [1, 2, 3]


def test_an_object_is_written_once(models: Models) -> None:
    anchor = anchor_of(models.server, models.name)
    assert anchor is not None
    (name, *_) = anchor.store.listing()
    before = anchor.store.get(name)
    assert anchor.store.create(name, b"something else") is False
    assert anchor.store.get(name) == before


def test_a_promoter_who_may_not_write_the_bucket_decides_nothing_unproved(
    models: Models, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_identity(monkeypatch, s3, s3.reader, tmp_path)
    with pytest.raises(StoreRefusedError, match="S3 answered AccessDenied"):
        approve(models, 3, ADA)
    assert champions(models) == (2, 1)
    assert "an earlier command did not finish" in survey(models)[1][0]
    use_identity(monkeypatch, s3, s3.writer, tmp_path)
    assert settle(models)[0].champion == 3  # the log holds the decision
    assert champions(models) == (3, 2)


def test_a_bucket_that_is_gone_is_named(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ANCHOR_VARIABLE, "s3://no-such-bucket/audit")
    done = mmctr("review", "list", "--name", models.name)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "s3://no-such-bucket/audit" in done.stderr
