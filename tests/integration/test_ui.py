"""`mmctr ui` as its user runs it: MLflow's pages can be opened until the command ends, in whatever way."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from components.tracking.models import Models
from components.tracking.server import connect

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    variables = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    return subprocess.Popen(
        [sys.executable, "-c", "from pipelines.cli import main; main()", "ui", *arguments],
        cwd=folder,
        env=variables | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(("sign", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_the_pages_are_there_until_the_command_ends(tmp_path: Path, sign: signal.Signals, status: int) -> None:
    Models(connect(f"sqlite:///{tmp_path / '.mmctr' / 'mlflow.db'}"), "mmctr").ensure("a model to look at")
    command = start(tmp_path)
    assert command.stdout is not None
    line = command.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
    assert found, line + command.communicate()[1]
    url, port = found[0], int(found[1])
    with urllib.request.urlopen(f"{url}/api/2.0/mlflow/registered-models/search", timeout=300) as answer:
        assert b'"mmctr"' in answer.read()
    with urllib.request.urlopen(url, timeout=300) as page:
        assert b"MLflow" in page.read()
    refused = start(tmp_path, "--port", str(port))
    assert f"--port {port}: Address already in use" in refused.communicate(timeout=300)[1]
    command.send_signal(sign)
    assert command.communicate(timeout=300)[1] == ""
    assert command.returncode == status
    deadline = time.monotonic() + 300
    while answers(port):
        assert time.monotonic() < deadline, "the server outlived the command"
        time.sleep(0.05)
    assert [path.name for path in tmp_path.iterdir()] == [".mmctr"], "something was written outside the workspace"
