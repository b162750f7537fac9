"""The workspace: whether it can be used, and what a killed run leaves there."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from components.errors import StepError
from components.process.progress import EVENTS_VARIABLE
from pipelines.workspace import clear_up, temporary_files_in, usable, working_in

ROOT = Path(__file__).parents[3]


def test_a_workspace_is_made_and_nothing_is_left_of_the_trial(tmp_path: Path) -> None:
    assert usable(tmp_path / "new" / "one") == tmp_path / "new" / "one"
    assert list((tmp_path / "new" / "one").iterdir()) == []


@pytest.mark.parametrize("path", ["README.md", "README.md/below"])
def test_a_file_is_no_workspace(tmp_path: Path, path: str) -> None:
    (tmp_path / "README.md").write_text("read me")
    with pytest.raises(StepError, match=rf"^--workspace {tmp_path / path}: this is a file, or lies below one; give"):
        usable(tmp_path / path)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param(errno.EACCES, r"nothing can be written there \(Permission denied\); give a folder", id="foreign"),
        pytest.param(errno.EROFS, r"nothing can be written there \(Read-only file system\); give", id="read-only"),
        pytest.param(errno.ENOSPC, r"nothing can be written there \(No space left on device\); free some", id="full"),
    ],
)
def test_a_workspace_that_takes_no_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def refuse(**_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("pipelines.workspace.tempfile.TemporaryFile", refuse)
    with pytest.raises(StepError, match=f"^--workspace .*: {words}"):
        usable(tmp_path)


def test_a_run_that_ends_leaves_no_temporary_files_and_no_lock(tmp_path: Path) -> None:
    with working_in(tmp_path / "runs" / "one") as scratch:
        (scratch / "mmctr-register-x").mkdir()
        assert scratch.exists()
    assert list((tmp_path / "runs" / "one").iterdir()) == []
    assert clear_up(tmp_path) == []


KILLED = """
import os, subprocess, sys, time
from pathlib import Path
from pipelines.workspace import working_in
run = Path(sys.argv[1])
with working_in(run) as scratch:
    (scratch / "tmp.x").mkdir()
    lost = subprocess.Popen(["sleep", "600"], start_new_session=True, stdout=subprocess.DEVNULL)
    print(lost.pid, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_run_left_is_ended_and_removed(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "one"
    variables = {**os.environ, "PYTHONPATH": str(ROOT), EVENTS_VARIABLE: str(run / "events.jsonl")}
    killed = subprocess.Popen([sys.executable, "-c", KILLED, str(run)], env=variables, stdout=subprocess.PIPE)
    assert killed.stdout is not None
    lost = int(killed.stdout.readline())
    other = subprocess.Popen(["sleep", "600"], env={**variables, EVENTS_VARIABLE: f"{run}-2/events.jsonl"})
    try:
        assert clear_up(tmp_path) == [run], "a run at work was not seen"
        assert _runs(lost)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        killed.stdout.close()
        assert _runs(lost)
        assert clear_up(tmp_path) == []
        assert not _runs(lost)
        assert list(run.iterdir()) == []
        assert other.poll() is None, "a process of another run was ended"
    finally:
        other.kill()
        other.wait()


WITH_TEMPORARY_FILES = """
import signal, sys, tempfile
from pathlib import Path
from pipelines.workspace import temporary_files_in
with temporary_files_in(Path(sys.argv[1])):
    print(tempfile.mkdtemp(), flush=True)
    signal.pause()
"""


def test_the_next_command_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    killed = subprocess.Popen(
        [sys.executable, "-c", WITH_TEMPORARY_FILES, str(workspace)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert killed.stdout is not None
    left = Path(killed.stdout.readline().strip())
    assert workspace in left.parents
    assert clear_up(workspace) == []
    assert left.is_dir(), "the files of a command at work were removed"
    killed.kill()
    killed.wait()
    killed.stdout.close()
    before, places = dict(os.environ), tempfile.gettempdir()
    with temporary_files_in(workspace):
        assert not left.exists()
        with tempfile.TemporaryDirectory() as made:
            assert workspace in Path(made).parents
    assert list((workspace / "commands").iterdir()) == []
    assert (dict(os.environ), tempfile.gettempdir()) == (before, places)


def test_without_a_workspace_nothing_is_made(tmp_path: Path) -> None:
    before = tempfile.gettempdir()
    with temporary_files_in(tmp_path / "none"):
        assert tempfile.gettempdir() == before
    assert list(tmp_path.iterdir()) == []


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
