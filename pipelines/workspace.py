"""The workspace: whether it can be used, and clearing up after a command that was killed.

WORKSPACE/runs/TIME/      of one `mmctr run`
WORKSPACE/commands/TIME/  of any other command that makes temporary files, removed at its end
    running               the lock that the command holds while it works
    tmp/                  temporary files of the command and all its processes, removed at its end
"""

import errno
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from components.errors import StepError
from components.process.progress import EVENTS_VARIABLE
from components.storage.locks import alone

_PATIENCE = 10.0  # seconds that the kernel gets to end a killed process


def usable(workspace: Path) -> Path:
    """The workspace as an absolute path, after a file could be written there."""
    folder = workspace.expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(2**16))
            file.flush()
    except OSError as error:
        raise StepError(f"--workspace {workspace}: {_why(error)}") from None
    return folder


def _why(error: OSError) -> str:
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return "this is a file, or lies below one; give the path of a folder"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"nothing can be written there ({error.strerror}); give a folder that belongs to you"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"nothing can be written there ({error.strerror}); free some space, or give a folder on another disk"
    return f"cannot be used ({error.strerror}); give another folder"


@contextmanager
def working_in(folder: Path) -> Iterator[Path]:
    """Marks a run's folder as being worked in, and yields the folder for its temporary files."""
    folder.mkdir(parents=True)
    scratch = folder / "tmp"
    with alone(folder / "running", wait=False):
        scratch.mkdir()
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def temporary_files_in(workspace: Path) -> Iterator[None]:
    """Puts the temporary files of this command and its processes into the workspace, until the end of the block.

    There, the next command finds and removes what a killed one left. Where there is no workspace, or only one to read
    from (a registry on a server needs none), they go where the system puts them.
    """
    if not (workspace.is_dir() and os.access(workspace, os.W_OK)):
        yield
        return
    clear_up(workspace)
    folder = workspace.resolve() / "commands" / f"{time.time_ns()}-{os.getpid()}"
    before = dict(os.environ)
    try:
        with working_in(folder) as scratch:
            os.environ |= scratch_variables(workspace, scratch)
            tempfile.tempdir = None  # Python then reads TMPDIR again
            yield
    finally:
        os.environ.clear()
        os.environ |= before
        tempfile.tempdir = None
        shutil.rmtree(folder, ignore_errors=True)


def scratch_variables(workspace: Path, scratch: Path) -> dict[str, str]:
    """Torch's own place for compiled code is below TMPDIR, which goes with the command."""
    kept = os.environ.get("TORCHINDUCTOR_CACHE_DIR", str(workspace.resolve() / "cache" / "torchinductor"))
    return {"TORCHINDUCTOR_CACHE_DIR": kept, "TMPDIR": str(scratch)}


def clear_up(workspace: Path) -> list[Path]:
    """Ends the processes and removes the temporary files of commands that were killed; returns the runs at work."""
    at_work = []
    for lock in [*workspace.glob("runs/*/running"), *workspace.glob("commands/*/running")]:
        folder, is_run = lock.parent, lock.parent.parent.name == "runs"
        with ExitStack() as held:
            try:
                held.enter_context(alone(lock, wait=False))
            except StepError:  # its command lives
                at_work += [folder] if is_run else []
                continue
            _end_processes(folder)
            shutil.rmtree(folder / "tmp" if is_run else folder, ignore_errors=True)
    return at_work


def _end_processes(run: Path) -> None:
    """A child ends with its parent (components/process/lifeline.py), so this finds one only while it is dying."""
    deadline = time.monotonic() + _PATIENCE
    while pids := _processes_of(run):
        if time.monotonic() > deadline:
            raise StepError(f"process {pids[0]} of the killed run {run} cannot be ended: end it, then run again")
        for pid in pids:
            with _gone_already():
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _processes_of(run: Path) -> list[int]:
    """The processes that report to the run's events file. Linux alone shows a process's environment."""
    mark = f"{EVENTS_VARIABLE}={run / 'events.jsonl'}\0".encode()
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with _gone_already():
            if mark in environment.read_bytes():
                found.append(int(environment.parent.name))
    return found


@contextmanager
def _gone_already() -> Iterator[None]:
    """The process ended meanwhile, or belongs to somebody else."""
    try:
        yield
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return
