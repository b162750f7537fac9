"""Git as a program: what ingest asks it, without questions to a person and in one language."""

import os
import subprocess
from pathlib import Path

from components.errors import StepError

Answer = subprocess.CompletedProcess[bytes]


def run_git(folder: Path, *arguments: str) -> Answer:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise StepError("git is not installed: ingest reads data revisions with it") from None


def printed(folder: Path, *arguments: str) -> str:
    """What git printed; nothing if it failed."""
    done = run_git(folder, *arguments)
    return os.fsdecode(done.stdout) if done.returncode == 0 else ""


def said(done: Answer) -> str:
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].removeprefix("fatal: ") if lines else "git gave no reason"
