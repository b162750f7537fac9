"""Each check of the doctor gives a line and a level, and each problem its remedy."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines import doctor
from pipelines.cli.doctor import doctor as command
from pipelines.doctor import Finding, cluster, machine, servers
from pipelines.doctor.machine import GIB
from pipelines.environment import Environment, Images, load_environment
from tests.services.kfp_api import kfp_api

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture
def environment() -> Environment:
    return load_environment("dev", REPOSITORY / "infra/environments")


@pytest.mark.parametrize(
    ("finding", "level", "remedy"),
    [
        (machine.python((3, 11)), "ok", ""),
        (machine.python((3, 10)), "error", "install Python 3.11"),
        (machine.python((3, 13)), "warning", "tested for 3.11"),
        (machine.disk(100 * GIB, Path()), "ok", ""),
        (machine.disk(10 * GIB, Path()), "warning", "free space"),
        (machine.disk(1 * GIB, Path()), "error", "free space"),
        (servers.skew(3.0, "http://s3"), "ok", ""),
        (servers.skew(-60.0, "http://s3"), "warning", "timedatectl"),
        (servers.skew(900.0, "http://s3"), "error", "S3 refuses signatures"),
        (servers.storage(None), "unchecked", ""),
        (servers.storage("/no/such/folder"), "error", ".dvc/config"),
        (servers.storage(str(REPOSITORY)), "ok", ""),
        (servers.storage("gs://bucket/data"), "unchecked", ""),
        (servers.credentials("s3://data", {}), "error", "export them"),
        (servers.credentials("s3://data", {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}), "ok", ""),
        (servers.credentials("s3://data", {"AWS_PROFILE": "ctr"}), "ok", ""),
        (servers.credentials(None, {"MLFLOW_TRACKING_USERNAME": "a"}), "error", "export them"),
        (servers.credentials(None, {}), "unchecked", ""),
        (servers.mlflow({"MLFLOW_TRACKING_URI": "sqlite:////no/such/file.db"}), "unchecked", ""),
        (servers.mlflow({"MLFLOW_TRACKING_URI": f"sqlite:///{REPOSITORY / 'README.md'}"}), "error", "backup"),
        (servers.mlflow({"MLFLOW_TRACKING_URI": "databricks"}), "error", "unset it"),
        (servers.mlflow({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}), "error", "start it (`make services`)"),
        (servers.clock({}), "unchecked", ""),
    ],
)
def test_a_finding_has_its_level_and_its_remedy(finding: Finding, level: str, remedy: str) -> None:
    assert finding.level == level
    assert remedy in finding.remedy
    assert bool(finding.remedy) == (level in ("warning", "error"))


@contextmanager
def server(statuses: dict[str, int], date: str = "") -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            self.send_response_only(statuses.get(path, 404))
            if date:
                self.send_header("Date", date)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """A test's output is the test's."""

    made = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{made.server_port}"
    finally:
        made.shutdown()
        made.server_close()


@pytest.mark.parametrize(
    ("search", "level", "remedy"),
    [
        (200, "ok", ""),
        (401, "error", "MLFLOW_TRACKING_PASSWORD"),
        (403, "error", "--allowed-hosts"),
        (500, "error", "the server's log"),
    ],
)
def test_an_mlflow_server_that_does_not_know_us_is_an_error(search: int, level: str, remedy: str) -> None:
    with server({"/health": 200, "/api/2.0/mlflow/experiments/search": search}) as address:
        finding = servers.mlflow({"MLFLOW_TRACKING_URI": address})
    assert finding.level == level
    assert remedy in finding.remedy


def test_a_registry_file_is_read_and_a_password_is_never_shown(tmp_path: Path) -> None:
    from components.tracking.server import connect

    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    connect(address)
    assert servers.mlflow({"MLFLOW_TRACKING_URI": address}).found.endswith("can be read: 0 model versions")
    secret = servers.mlflow({"MLFLOW_TRACKING_URI": "http://ada:pass-word@127.0.0.1:9"})
    assert secret.found == "http://127.0.0.1:9: no answer"


def test_the_workspace_is_the_place_that_is_checked(tmp_path: Path) -> None:
    findings = {finding.subject: finding for finding in doctor.examine(None, tmp_path, {}, tmp_path / "elsewhere")}
    assert findings["disk"].found.endswith(f"at {tmp_path}")
    assert f"no registry yet at {tmp_path}/elsewhere/mlflow.db" in findings["MLflow"].found


def test_the_clock_is_compared_with_the_store() -> None:
    with server({}, "Sun, 06 Nov 1994 08:49:37 GMT") as address:
        assert servers.clock({"AWS_ENDPOINT_URL": address}).level == "error"


@pytest.mark.parametrize("quoted", ["'remote \"store\"'", 'remote "store"'])
def test_the_remote_is_read_from_dvcs_config(tmp_path: Path, quoted: str) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text(f"[core]\n    remote = store\n[{quoted}]\n    url = s3://data\n")
    assert servers.default_remote(tmp_path) == "s3://data"
    assert servers.default_remote(tmp_path / "elsewhere") is None


def test_pipelines_are_asked_for_the_namespace(environment: Environment, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with kfp_api() as (address, state):
        here = replace(environment, service=replace(environment.service, host=address, request_seconds=1))
        assert cluster.pipelines(here) == Finding("Pipelines", "ok", f"{address}, single-user, lets us into kubeflow")
        state.inject("GET", "/experiments$", "unavailable")
        assert cluster.pipelines(here).level == "error"
    finding = cluster.pipelines(here)
    assert finding.level == "error"
    assert "MMCTR_KFP_TOKEN_FILE" in finding.remedy


def test_an_environment_for_another_kind_of_installation_is_an_error(
    environment: Environment, tmp_path: Path, monkeypatch: Any
) -> None:
    """A single-user server takes every namespace and ignores it: Kubeflow Pipelines 2.17.0,
    backend/src/apiserver/resource/resource_manager.go:2456-2462."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with kfp_api() as (address, state):
        state.multi_user = True
        finding = cluster.pipelines(replace(environment, service=replace(environment.service, host=address)))
    assert finding.level == "error"
    assert "is a multi-user installation, the environment is for a single-user one" in finding.found
    assert "service.mode: multi-user" in finding.remedy


def test_no_kubeconfig_is_a_warning(environment: Environment, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    findings = {finding.subject: finding for finding in doctor.examine(environment, tmp_path, {})}
    assert findings["cluster"].level == "warning"
    assert "set KUBECONFIG" in findings["cluster"].remedy


def test_unbuilt_images_are_a_warning(environment: Environment) -> None:
    assert cluster.images(environment).level == "warning"
    digest = "@sha256:" + "a" * 64
    assert cluster.images(replace(environment, images=Images(f"a{digest}", f"b{digest}"))).level == "ok"


def test_one_broken_check_does_not_hide_the_others(monkeypatch: Any, tmp_path: Path) -> None:
    def broken() -> Finding:
        raise RuntimeError("driver and library disagree")

    monkeypatch.setattr(doctor, "gpu", broken)
    findings = {finding.subject: finding for finding in doctor.examine(None, tmp_path, {})}
    assert (findings["GPU"].level, findings["GPU"].found) == ("error", "RuntimeError: driver and library disagree")
    assert findings["Python"].level == "ok"


@pytest.mark.parametrize(("level", "status"), [("ok", 0), ("warning", 0), ("error", 1)])
def test_the_exit_code_is_the_worst_level(level: Any, status: int, monkeypatch: Any) -> None:
    import typer

    app = typer.Typer()
    app.command()(command)
    monkeypatch.setattr(doctor, "examine", lambda *_: [Finding("disk", level, json.dumps({}), "free space")])
    result = CliRunner().invoke(app, [])
    assert result.exit_code == status
    assert ("-> free space" in result.output) == (level != "ok")
