"""Two equal `mmctr run` at the same moment in one fresh workspace: one version is registered, and both end well."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from components.dataset.sample import SIZES, write_sample
from tests.local_run import ROOT, command, environment, query

pytestmark = pytest.mark.integration


def test_two_equal_runs_register_one_version(tmp_path: Path) -> None:
    write_sample(tmp_path / "data", replace(SIZES["tiny"], content="item_info"))  # nothing to encode
    started = command(tmp_path / "workspace", tmp_path / "data")
    runs = [
        subprocess.Popen(
            started, env=environment(), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for _ in range(2)
    ]
    said = [run.communicate(timeout=900)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n\n".join(said)
    live = "select version from model_versions where current_stage != 'Deleted_Internal'"
    assert query(tmp_path / "workspace", live) == [(1,)]
    assert sum("waits for review already; nothing new was registered" in one for one in said) == 1
