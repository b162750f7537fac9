"""`make services` for real, and what the cluster's pods run, run here: MLflow's command line, backup, restore."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from components.errors import StepError
from components.storage.objects import open_store
from infra.check.build import K8S, build
from infra.k8s.base.backup_upload import upload
from infra.local.postgres import find_program
from tests.services.mlflow import end_group, free_port, wait_until_healthy

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables that services.env holds, with the servers behind them."""
    folder = Path(f"/tmp/mmctr-services-{os.getpid()}")  # PostgreSQL's user must be able to enter it
    command = [sys.executable, "-m", "infra.local.up", "--folder", str(folder), "--mlflow-port", "0"]
    with (tmp_path_factory.mktemp("up") / "log").open("w+b") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 300
        while not (folder / "services.env").exists() or not (folder / "services.env").read_text():
            log.seek(0)
            assert process.poll() is None, log.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.1)
    text = (folder / "services.env").read_text()
    yield {**dict(re.findall(r"export (\w+)=(\S+)", text)), "folder": str(folder)}
    os.kill(process.pid, signal.SIGINT)
    process.wait(300)
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.mark.postgres
def test_the_three_servers_work_together(services: dict[str, str]) -> None:
    """A run with an artifact, through MLflow, is in PostgreSQL and in S3."""
    program = (
        "import mlflow\n"
        "with mlflow.start_run():\n"
        "    mlflow.log_metric('auc', 0.8)\n"
        "    mlflow.log_text('hello', 'note.txt')\n"
    )
    environment = {**os.environ, **services, "GIT_PYTHON_REFRESH": "quiet"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
    assert stored(services, "artifacts") >= 1
    assert (Path(services["folder"]) / "services.env").stat().st_mode & 0o077 == 0


@pytest.mark.postgres
def test_the_doctor_reports_no_problem_with_the_servers(services: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    remote = s3\n['remote \"s3\"']\n    url = s3://mmctr-dvc\n")
    program = "from pipelines.cli import main; main()"
    environment = {**os.environ, **services, "PYTHONPATH": os.pathsep.join(sys.path)}

    def examined() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, "doctor"]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)

    run = examined()
    assert run.returncode == 0, run.stdout + run.stderr
    for line in (
        "data         s3://mmctr-dvc was written, read and cleaned",
        "answers and knows us",
        "ok       clock",
    ):
        assert line in run.stdout
    environment["AWS_SECRET_ACCESS_KEY"] = "wrong"
    run = examined()
    assert run.returncode == 1
    assert "check AWS_ENDPOINT_URL and the AWS_ variables" in run.stdout


def stored(services: dict[str, str], prefix: str) -> int:
    listing = (
        "import sys; from components.storage.objects import open_store; "
        f"print(len(open_store('s3://mmctr-mlflow').listing('{prefix}')))"
    )
    environment = {**os.environ, **services}
    run = subprocess.run([sys.executable, "-c", listing], env=environment, check=True, capture_output=True, text=True)
    return int(run.stdout)


@pytest.mark.postgres
def test_the_database_comes_back_from_a_backup(services: dict[str, str], tmp_path: Path) -> None:
    """The CronJob's two commands, then the restore of docs/how-to/recover.md into an empty database."""
    objects = build(K8S / "overlays/prod")
    (job,) = (m for m in objects if (m["kind"], m["metadata"]["name"]) == ("CronJob", "mlflow-backup"))
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    folder = Path(services["folder"])
    password, port = (folder / "postgres/password").read_text(), postgres_port(folder)
    url = f"postgresql://mlflow:{password}@127.0.0.1:{port}/mlflow"
    dump = tmp_path / "mlflow.dump"
    there = {"/scratch/mlflow.dump": str(dump), "$(DATABASE_URL)": url}
    command = [replaced(part, there) for part in pod["initContainers"][0]["command"]]
    subprocess.run([find_program(command[0]), *command[1:]], check=True, capture_output=True)
    here = {
        "/etc/backup": str(K8S / "base"),
        "/scratch/mlflow.dump": str(dump),
        "$(BACKUPS)": "s3://mmctr-mlflow/backups",
    }
    script = [replaced(part, here) for part in pod["containers"][0]["command"]]
    environment = {**os.environ, **services, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, *script[1:]], env=environment, check=True, capture_output=True, text=True)
    assert re.search(r"s3://mmctr-mlflow/backups/mlflow-\d{8}T\d{6}Z\.dump", run.stdout)
    assert stored(services, "backups") == 1

    copy = url.replace("/mlflow", "/restored").replace("//restored", "//mlflow")
    subprocess.run([find_program("psql"), url, "-c", "CREATE DATABASE restored"], check=True, capture_output=True)
    subprocess.run([find_program("pg_restore"), "--no-owner", f"--dbname={copy}", str(dump)], check=True)
    counts = [count_runs(database) for database in (url, copy)]
    assert counts[0] == counts[1] >= 1


def replaced(text: str, values: dict[str, str]) -> str:
    for old, new in values.items():
        text = text.replace(old, new)
    return text


def postgres_port(folder: Path) -> int:
    return int((folder / "postgres/data/postmaster.pid").read_text().splitlines()[3])


def count_runs(url: str) -> int:
    query = [find_program("psql"), url, "--tuples-only", "--command=SELECT count(*) FROM runs"]
    return int(subprocess.run(query, check=True, capture_output=True, text=True).stdout)


@pytest.fixture(scope="module")
def mlflow_pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The command line of the Deployment, on SQLite: its hosts, its authentication, its probes."""
    (deployment,) = (m for m in build(K8S / "overlays/prod") if m["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    auth = folder / "basic_auth.ini"
    auth.write_text(
        "[mlflow]\ndefault_permission = READ\nadmin_username = admin\nadmin_password = a-long-password-1\n"
        f"database_uri = sqlite:///{folder}/auth.db\nauthorization_function = "
        "mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    values = {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
    values |= {
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "k" * 32,
        "MLFLOW_AUTH_CONFIG_PATH": str(auth),
        "ARTIFACTS": str(folder / "artifacts"),
    }
    command = [re.sub(r"\$\((\w+)\)", lambda found: values[found[1]], part) for part in container["command"]]
    command = [part.replace("--port=5000", f"--port={port}").replace("0.0.0.0", "127.0.0.1") for part in command]
    environment = {**os.environ, **values}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with (folder / "log").open("wb") as log:
        started = [sys.executable, "-m", *command]
        process = subprocess.Popen(started, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/health", process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        end_group(process)


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/health", "localhost", 200),
        ("/health", "mlflow.mmctr-prod.svc:5000", 200),
        ("/api/2.0/mlflow/experiments/search?max_results=1", "mlflow:5000", 401),
        ("/api/2.0/mlflow/experiments/search?max_results=1", "evil.example.com", 403),
    ],
    ids=["the probe", "the service's name", "no password", "a foreign host"],
)
def test_the_documented_server_command_admits_the_documented_hosts(
    mlflow_pod: str, path: str, host: str, status: int
) -> None:
    request = urllib.request.Request(mlflow_pod + path, headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            found = answer.status
    except urllib.error.HTTPError as error:
        found = error.code
        error.close()
    assert found == status


def ask(server: str, user: str, path: str, body: dict[str, str]) -> int:
    """The status of one POST, as the manifests' accounts and docs/how-to/kubeflow.md send them."""
    pair = base64.b64encode(f"{user}:a-long-password-1".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {pair}", "Host": "mlflow:5000"}
    request = urllib.request.Request(f"{server}/api/{path}", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_the_trainer_makes_the_promoter_manages_the_reader_reads(mlflow_pod: str) -> None:
    for user in ("trainer", "promoter", "reader"):
        assert (
            ask(mlflow_pod, "admin", "2.0/mlflow/users/create", {"username": user, "password": "a-long-password-1"})
            == 200
        )
    assert ask(mlflow_pod, "trainer", "2.0/mlflow/registered-models/create", {"name": "mmctr"}) == 200
    tag = {"name": "mmctr", "key": "reviewed", "value": "yes"}
    assert [ask(mlflow_pod, user, "2.0/mlflow/registered-models/set-tag", tag) for user in ("promoter", "reader")] == [
        403,
        403,
    ]
    right = {
        "username": "promoter",
        "resource_type": "registered_model",
        "resource_id": "mmctr",
        "permission": "MANAGE",
    }
    grant = "3.0/mlflow/users/permissions/grant"
    assert ask(mlflow_pod, "reader", grant, right) == 403
    assert ask(mlflow_pod, "admin", grant, right) == 200
    assert [ask(mlflow_pod, user, "2.0/mlflow/registered-models/set-tag", tag) for user in ("promoter", "reader")] == [
        200,
        403,
    ]


NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)


def test_old_backups_go_and_a_broken_dump_removes_none(tmp_path: Path) -> None:
    dump, store = tmp_path / "a.dump", open_store(tmp_path / "store")
    dump.write_bytes(b"PGDMP and more")
    for hour in (1, 2, 3):
        upload(dump, store, keep=2, now=NOW.replace(hour=hour))
    assert list(store.listing()) == ["mlflow-20261120T020000Z.dump", "mlflow-20261120T030000Z.dump"]
    dump.write_bytes(b"")
    with pytest.raises(StepError, match="is no dump of pg_dump"):
        upload(dump, store, keep=1, now=NOW)
    assert len(store.listing()) == 2


def test_the_migration_makes_all_tables_and_the_servers_wait_for_them(tmp_path: Path) -> None:
    """The job's own commands, twice, on an empty database; and what the Deployment's first container waits for."""
    objects = {(m["kind"], m["metadata"]["name"]): m for m in build(K8S / "overlays/prod")}
    pod = objects["Job", "mlflow-migrate"]["spec"]["template"]["spec"]
    (wait,) = objects["Deployment", "mlflow"]["spec"]["template"]["spec"]["initContainers"]
    database = f"sqlite:///{tmp_path}/mlflow.db"
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": database}
    waiting = subprocess.Popen([sys.executable, *wait["command"][1:]], env=environment)
    try:
        for attempt in range(2):
            for container in (*pod["initContainers"], *pod["containers"]):
                words = [replaced(part, {"$(DATABASE)": database}) for part in container["command"]]
                program = words[1:] if words[0] == "python3" else ["-m", *words]
                subprocess.run([sys.executable, *program], env=environment, check=True, capture_output=True)
                if container["name"] == "runs-and-models" and attempt == 0:
                    assert waiting.poll() is None, "the accounts' tables are not there yet"
        assert waiting.wait(300) == 0
    finally:
        waiting.kill()
        waiting.wait()
