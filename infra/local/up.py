"""`make services`: MLflow on PostgreSQL and S3, on this machine, until Ctrl-C.

    python -m infra.local.up [--folder .mmctr/services]

The same three servers as on a cluster, on 127.0.0.1 alone, with passwords made up here. What a shell needs to use them
is written to FOLDER/services.env. The data stay in the folder.
"""

import argparse
import os
import shlex
import signal
import time
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from components.process.children import Child
from components.tracking.anchor import ANCHOR_VARIABLE
from infra.local.postgres import Postgres
from infra.local.s3 import DECISIONS_BUCKET, DVC_BUCKET, MLFLOW_BUCKET, S3Server, free_ports

PATIENCE = 120.0  # seconds; the first start migrates an empty database


def start_mlflow(folder: Path, port: int, database: str, variables: Mapping[str, str]) -> Child:
    """Returns once the server answers."""
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [
        "server",
        "--host=127.0.0.1",
        f"--port={port}",
        "--workers=1",
        "--serve-artifacts",
        f"--artifacts-destination=s3://{MLFLOW_BUCKET}/artifacts",
        "--allowed-hosts=localhost,localhost:*,127.0.0.1,127.0.0.1:*",
    ]
    environment = {
        **os.environ,
        **variables,
        "MLFLOW_BACKEND_STORE_URI": database,  # not in the command: others can read that
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    child = Child("mlflow", *arguments, log=folder / "server.log", environment=environment)
    deadline = time.monotonic() + PATIENCE
    for _ in child.polls_until_end():
        if _answers(f"http://127.0.0.1:{port}/health"):
            return child
        if time.monotonic() > deadline:
            break
    child.end()
    raise SystemExit(f"MLflow did not start; see {child.log}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def write_environment(path: Path, variables: Mapping[str, str]) -> None:
    path.touch(mode=0o600)
    path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items())))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.local.up", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".mmctr/services"))
    parser.add_argument("--mlflow-port", type=int, default=5000, help="0 takes a free one")
    given = parser.parse_args()
    folder = given.folder.resolve()
    database_port, mlflow_port = free_ports(2)
    mlflow_port = given.mlflow_port or mlflow_port
    for sign in (signal.SIGTERM, signal.SIGINT):  # a shell's background job ignores SIGINT unless told otherwise
        signal.signal(sign, signal.default_int_handler)
    with ExitStack() as stack:
        postgres = Postgres(folder / "postgres", database_port)
        postgres.start()
        stack.callback(postgres.stop)
        s3 = S3Server(folder / "s3")
        s3.start()
        stack.callback(s3.stop)
        for bucket in (DVC_BUCKET, MLFLOW_BUCKET, DECISIONS_BUCKET):
            s3.make_bucket(bucket)
        variables = s3.writer.environment(s3.endpoint)
        database = postgres.url.replace("://", "+psycopg2://", 1)  # SQLAlchemy's own choice is not installed
        mlflow = stack.enter_context(start_mlflow(folder / "mlflow", mlflow_port, database, variables))
        variables["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{mlflow_port}"
        variables[ANCHOR_VARIABLE] = f"s3://{DECISIONS_BUCKET}/log"
        write_environment(folder / "services.env", variables)
        print(f"MLflow {variables['MLFLOW_TRACKING_URI']}, S3 {s3.endpoint}, PostgreSQL 127.0.0.1:{database_port}")
        print(f"in another shell: source {folder / 'services.env'} && mmctr run", flush=True)
        try:
            for _ in mlflow.polls_until_end():
                pass
            raise SystemExit(f"MLflow ended by itself; see {mlflow.log}")
        except KeyboardInterrupt:
            print(f"\nstopped; everything is kept in {folder}")


if __name__ == "__main__":
    main()
