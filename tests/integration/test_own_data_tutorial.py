"""The tutorial on a team's own data: each command of the page, as it stands, in one empty folder."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.services.mlflow import free_port

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/tutorial/own-data.md"


def commands(port: int) -> list[tuple[bool, str]]:
    """(whether it is a server, command), in the order of the page."""
    blocks = re.findall(r"^```sh( server)?\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = [(bool(mark), line) for mark, block in blocks for line in block.splitlines() if line.strip()]
    return [(server, line.replace("8080", str(port))) for server, line in lines]


def wait_for(address: str, server: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert server.poll() is None, server.communicate()[0]
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"{address} did not answer")


def test_the_page_leads_from_two_files_to_a_model_that_answers(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "mmctr"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom pipelines.cli import main\nmain()\n")
    program.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")} | {
        "PATH": os.pathsep.join([str(program.parent), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
    }
    folder = tmp_path / "team"
    folder.mkdir()
    port, answers, server = free_port(), [], None
    try:
        for serves, line in commands(port):
            if serves:
                server = subprocess.Popen(["bash", "-c", f"exec {line}"], cwd=folder, env=environment, text=True)
                wait_for(f"http://127.0.0.1:{port}", server)
                continue
            done = subprocess.run(
                ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            answers.append(done.stdout)
    finally:
        if server is not None:
            server.terminate()
            server.wait(300)
    assert "gate       pass" in answers[4]
    scored = pq.read_table(folder / "scores.parquet")
    assert scored.num_rows == pq.read_metadata(folder / "shop-data/test.parquet").num_rows
    ranked = json.loads(answers[-1])
    assert sorted(ranked["order"]) == [0, 1, 2]
    assert ranked["known"] == [True, True, True]
    assert [ranked["scores"][place] for place in ranked["order"]] == sorted(ranked["scores"], reverse=True)
