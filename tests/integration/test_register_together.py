"""Runs of the same candidate register it at the same moment: one version comes out, and every run ends well."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.packages.format import package_hash
from components.register.package import build_package
from components.settings import to_dict
from components.tracking.models import Models
from components.tracking.server import connect
from components.tracking.tags import CHALLENGER, PACKAGE_HASH
from tests.local_run import environment
from tests.services.candidate import make_candidate

pytestmark = pytest.mark.integration

RUNS = 2
REGISTER = """
import shutil, sys, time
from pathlib import Path
from components.register import step
from tests.services.candidate import make_candidate

root, number = Path(sys.argv[1]), sys.argv[2]
candidate = make_candidate(root / f"candidate-{number}")
step.build_package = lambda *given: shutil.copytree(root / "package", given[-1])  # exporting speaks to no server
(root / f"ready-{number}").touch()
while not (root / "go").exists():
    time.sleep(0.01)
candidate.register(f"run-{number}", root / f"out-{number}")
"""


def test_runs_of_one_candidate_register_one_version(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    server = connect(address)
    server.call("search_experiments")  # makes the tables
    candidate = make_candidate(tmp_path / "candidate")
    build_package(candidate.made, to_dict(candidate.config), tmp_path / "package")
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", REGISTER, str(tmp_path), str(number)],
            env=environment() | {"MLFLOW_TRACKING_URI": address},
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(RUNS)
    ]
    while len(list(tmp_path.glob("ready-*"))) < len(runs):
        assert all(run.poll() is None for run in runs)
        time.sleep(0.05)
    (tmp_path / "go").touch()
    for run in runs:
        _, said = run.communicate(timeout=300)
        assert run.returncode == 0, said
    models = Models(server, "mmctr")
    [version] = models.versions()
    assert models.aliases() == {CHALLENGER: version.number}
    told = [json.loads((tmp_path / f"out-{number}" / "registration.json").read_text()) for number in range(RUNS)]
    assert [one["version"] for one in told] == [str(version.number)] * RUNS
    assert sum(one["new"] for one in told) == 1
    assert package_hash(models.download(version.number, tmp_path / "files")) == version.tags[PACKAGE_HASH]
    experiment = server.call("get_experiment_by_name", "mmctr").experiment_id
    [kept] = server.call("search_logged_models", [experiment])
    assert kept.artifact_location == version.source
