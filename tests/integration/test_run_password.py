"""The password in MLFLOW_TRACKING_URI stays where it is: no file of a run and no word on the screen holds it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from components.dataset.sample import SIZES, write_sample
from tests.local_run import ROOT, command, environment
from tests.services.mlflow import running_mlflow

pytestmark = pytest.mark.integration
PASSWORD = "correct-horse-battery"


def holding(folder: Path) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and PASSWORD.encode() in path.read_bytes()
    ]


def test_a_run_writes_the_password_of_its_registry_nowhere(tmp_path: Path) -> None:
    write_sample(tmp_path / "data", replace(SIZES["tiny"], content="item_info"))  # nothing to encode
    workspace = tmp_path / "workspace"
    started = command(workspace, tmp_path / "data")
    with running_mlflow(tmp_path / "server", f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts")) as server:
        address = server.uri.replace("://", f"://ada:{PASSWORD}@")
        variables = {**environment(), "MLFLOW_TRACKING_URI": address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
        run = subprocess.run(started, env=variables, cwd=ROOT, text=True, capture_output=True, timeout=900)
        assert run.returncode == 0, run.stdout + run.stderr
        assert f"registry   {server.uri}" in run.stdout
    doctor = [sys.executable, "-c", "from pipelines.cli import main; main()", "doctor", "--workspace", str(workspace)]
    dead = [
        subprocess.run(again, env=variables, cwd=ROOT, text=True, capture_output=True, timeout=900)
        for again in (started, doctor)
    ]
    for done in (run, *dead):
        assert PASSWORD not in done.stdout + done.stderr
    assert holding(workspace) == []
    assert holding(tmp_path / "artifacts") == []
    assert holding(tmp_path / "server") == []
    assert PASSWORD.encode() not in (tmp_path / "mlflow.db").read_bytes()
