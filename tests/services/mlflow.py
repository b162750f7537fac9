"""A real MLflow server for tests: on SQLite or on PostgreSQL, and a proxy before it that misbehaves on demand."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.local.postgres import find_program
from infra.local.s3 import S3Server

READY_SECONDS = 300  # a loaded machine of two cores takes 20, and more if every core is busy


@dataclass(frozen=True)
class MlflowServer:
    uri: str
    log: Path
    pid: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_mlflow(
    folder: Path, backend: str, artifacts: str, options: tuple[str, ...] = (), env: Mapping[str, str] | None = None
) -> Iterator[MlflowServer]:
    """`mlflow server` in a process group of its own, ended by its id."""
    folder.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), folder / "mlflow.log"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        backend,
        "--artifacts-destination",
        artifacts,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
        *options,
    ]
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
        **(env or {}),
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        uri = f"http://127.0.0.1:{port}"
        wait_until_healthy(f"{uri}/health", process, log)
        yield MlflowServer(uri, log, process.pid)
    finally:
        end_group(process)


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"{url} did not answer in {READY_SECONDS} s:\n{log.read_text()[-3000:]}")


def end_group(process: subprocess.Popen[bytes]) -> None:
    """At once: what a test's server holds is thrown away, and a polite MLflow takes ten seconds to go."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def running_postgres() -> Iterator[str]:
    """A PostgreSQL cluster of its own on a free port; yields the URI of an empty database, its driver named.

    PostgreSQL refuses to run as root: there it runs as the user `postgres`, which its package makes. The cluster lies
    directly under the temporary folder, because that user cannot enter the folders that pytest makes for root.
    """
    folder, port = Path(tempfile.mkdtemp(prefix="mmctr-postgres-")), free_port()
    become: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        become = ["runuser", "-u", "postgres", "--"]

    def run(program: str, *arguments: str) -> None:
        command = [*become, find_program(program), *arguments]
        subprocess.run(command, cwd="/", check=True, capture_output=True, timeout=300)

    data, address = str(folder / "data"), ("-h", "127.0.0.1", "-p", str(port), "-U", "mmctr")
    quick = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    listen = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    try:
        run("initdb", "-D", data, "-U", "mmctr", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        run("pg_ctl", "-D", data, "-w", "-l", str(folder / "postgres.log"), "-o", f"{listen} {quick}", "start")
        try:
            run("createdb", *address, "mlflow")
            yield f"postgresql+psycopg2://mmctr@127.0.0.1:{port}/mlflow"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def mlflow_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("mlflow-sqlite")
    with running_mlflow(folder, f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts")) as server:
        yield server


@pytest.fixture(scope="session")
def mlflow_on_postgres(tmp_path_factory: pytest.TempPathFactory, s3: S3Server) -> Iterator[MlflowServer]:
    """As in production: PostgreSQL behind it, artifacts on S3, and clients that know neither."""
    artifacts = f"s3://{s3.make_bucket()}/mlflow"
    env = s3.writer.environment(s3.endpoint)
    folder = tmp_path_factory.mktemp("mlflow-postgres")
    with running_postgres() as backend, running_mlflow(folder, backend, artifacts, env=env) as server:
        yield server
