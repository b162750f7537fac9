"""`make s3` as a person uses it: the commands that it prints work when they are pasted into a shell."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.ingest.step import ingest
from tests.unit.ingest.conftest import git

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture
def printed(tmp_path: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """What the server says once it answers, and its process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.local.s3"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "mlflow server" in line:
            break
    yield "".join(lines), process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(300)
    process.stdout.close()


def _clone(tmp_path: Path) -> Path:
    """This repository's own commit, with the sample in its own remote."""
    root = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", f"file://{ROOT}", str(root)], check=True)
    return root


def test_what_it_prints_gives_a_remote_that_push_and_ingest_use(
    printed: tuple[str, "subprocess.Popen[str]"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, _ = printed
    for name, value in re.findall(r"^export (\w+)=(\S+)$", text, re.MULTILINE):
        monkeypatch.setenv(name, value)
    clone = _clone(tmp_path)
    subprocess.run([BIN / "dvc", "pull", "-q"], cwd=clone, check=True)
    for command in re.findall(r"^\.venv/bin/(dvc .+)$", text, re.MULTILINE):
        program, *arguments = command.split()
        subprocess.run([BIN / program, *arguments, "-q"], cwd=clone, check=True)
    shutil.rmtree(clone / ".dvc" / "cache")
    shutil.rmtree(clone / "infra" / "dvc-remote")
    lineage = ingest(str(clone), "HEAD", tmp_path / "out", tmp_path / "cache")
    assert lineage.remote == "s3://mmctr-dvc"
    assert pq.ParquetFile(tmp_path / "out" / "train.parquet").metadata.num_rows == 20_000
    assert git(clone, "status", "--porcelain", "--", "data.dvc", ".dvc") == ""  # nothing to commit for it


def test_it_ends_on_ctrl_c_and_leaves_nothing(printed: tuple[str, "subprocess.Popen[str]"], tmp_path: Path) -> None:
    _, process = printed
    assert list(tmp_path.glob("mmctr-s3-*"))
    process.send_signal(signal.SIGINT)
    assert process.wait(300) == 0
    assert process.stdout is not None
    assert "stopped" in process.stdout.read()
    assert not list(tmp_path.glob("mmctr-s3-*"))
