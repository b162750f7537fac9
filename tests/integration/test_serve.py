"""`mmctr serve` as a process: it answers over HTTP, and after SIGTERM it answers what had begun."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.request_log.read import Period, read_log
from components.storage.objects import LocalStore
from components.tracking.models import Models
from components.tracking.server import connect
from tests.services.candidate import make_candidate
from tests.services.mlflow import end_group
from tests.unit.serve.test_app import RANK

pytestmark = pytest.mark.integration


@dataclass
class Serving:
    process: "subprocess.Popen[bytes]"
    host: str
    port: int
    said: Path

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=300)

    def get(self, path: str) -> tuple[int, Any]:
        connection = self.connection()
        connection.request("GET", path)
        answer = connection.getresponse()
        status, body = answer.status, json.loads(answer.read())
        connection.close()
        return status, body


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Serving the only version of a registry of its own, until the last test ends it."""
    tmp_path = tmp_path_factory.mktemp("serve")
    server = connect(f"sqlite:///{tmp_path / 'mlflow.db'}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server.uri)
        made = make_candidate(tmp_path / "candidate").register("run-1", tmp_path / "registration")
    Models(server, "mmctr").set_alias("champion", int(made["version"]))
    said = tmp_path / "serve.log"
    command = "import sys; from pipelines.cli import main; sys.argv[0] = 'mmctr'; main()"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", command, "serve", "--port", "0", "--workspace", str(tmp_path), "--every", "1"),
                *("--log", str(tmp_path / "requests"), "--canary", "0.5"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={
                **{name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"},
                "MMCTR_LOG_SALT": "a salt of the tests",
            },
            start_new_session=True,
        )
    try:
        while b"serving at http://" not in said.read_bytes():
            assert process.poll() is None, said.read_text()
            time.sleep(0.05)
        host, port = said.read_text().partition("serving at http://")[2].split()[0].split(":")
        made_serving = Serving(process, host, int(port), said)
        while made_serving.get("/readyz")[0] != 200:
            assert process.poll() is None, said.read_text()
            time.sleep(0.05)
        yield made_serving
    finally:
        end_group(process)


def test_the_documented_clients_get_an_answer(serving: Serving) -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/serve.md").read_text()
    address = f"http://{serving.host}:{serving.port}"
    code = {kind: re.findall(rf"^```{kind}\n(.*?)^```", page, re.MULTILINE | re.DOTALL) for kind in ("bash", "python")}
    assert {kind: len(found) for kind, found in code.items()} == {"bash": 1, "python": 1}
    bash, python = (found[0].replace("http://127.0.0.1:8080", address) for found in code.values())
    said = subprocess.run(["bash", "-c", bash], capture_output=True, text=True, timeout=300, check=True).stdout
    told = subprocess.run(
        [sys.executable, "-c", f"{python}\nprint(json.dumps([answer, best_first]))"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    ).stdout
    answer, best_first = json.loads(told)
    assert json.loads(said) == answer
    assert answer["version"] == 1
    assert sorted(best_first) == [5, 9]


def test_a_port_that_is_taken_is_said_in_one_line(serving: Serving) -> None:
    command = "import sys; from pipelines.cli import main; sys.argv[0] = 'mmctr'; main()"
    taken = subprocess.run(
        [sys.executable, "-c", command, "serve", "--port", str(serving.port), "--workspace", str(serving.said.parent)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"},
    )
    assert taken.returncode == 1
    assert f"--port {serving.port}: nothing can listen there" in taken.stderr
    assert "Traceback" not in taken.stderr


def test_it_answers_and_after_sigterm_it_ends_what_has_begun(serving: Serving) -> None:
    body = json.dumps(RANK).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    connection = serving.connection()
    for _ in range(2):  # over one connection
        connection.request("POST", "/rank", body, headers)
        answer = connection.getresponse()
        assert answer.status == 200
        scores = json.loads(answer.read())["scores"]
    connection.putrequest("POST", "/rank")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body[:10])
    assert serving.get("/healthz") == (200, {"status": "ok"})  # so the first part has arrived as well
    os.kill(serving.process.pid, signal.SIGTERM)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:  # it takes no new connections
        try:
            serving.get("/healthz")
        except OSError:
            break
    else:
        pytest.fail("it still takes connections")
    connection.send(body[10:])
    answer = connection.getresponse()
    assert answer.status == 200
    assert json.loads(answer.read())["scores"] == scores
    last = answer.headers["X-Request-Id"]
    connection.close()
    assert serving.process.wait(300) == 128 + signal.SIGTERM
    logged = read_log(LocalStore(serving.said.parent / "requests"), Period())
    assert logged.loc[logged["request_id"] == last, "item_id"].tolist() == RANK["item_id"]
    assert "Traceback" not in serving.said.read_text()
