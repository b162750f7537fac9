"""Child processes. Each has a session of its own, its output goes to a file, its events are read as they come, and it
is ended with everything that it started.

A session of its own, so that Ctrl-C reaches only the process that started it, which then ends its children in order.
Whatever ends that process ends the child as well: see `lifeline.py`.
"""

import collections
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

# OpenMP threads go to sleep while they wait. Spinning threads made an epoch on the sample take 52 s instead of 4 s on
# cores that another program wanted too.
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}
# A program that writes to a file keeps its output back, but not its errors: the reason of its end would stand above
# what led to it, and often outside of the last lines that are shown.
IN_ORDER = {"PYTHONUNBUFFERED": "1"}
GRACE = 10.0  # seconds in which an interrupted program may end by itself
_POLL = 0.1  # seconds between two looks at a child
_NOBODY = (ProcessLookupError, PermissionError)  # macOS answers the latter when only zombies are left
_log = logging.getLogger(__name__)


class Tail:
    """The lines that are appended to a file from now on. The file may come into being later."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = path.stat().st_size if path.is_file() else 0

    def lines(self) -> Iterator[str]:
        """The lines that are new since the last call; one without its line end is still being written."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield line.decode(errors="replace").rstrip("\n")

    def events(self) -> Iterator[dict[str, Any]]:
        """The new lines as JSON objects. A process that was killed while it wrote may leave a broken one."""
        for line in self.lines():
            try:
                event = json.loads(line)
            except ValueError:
                _log.warning("%s has a line that is no JSON: %.100s", self.path, line)
                continue
            yield event


class Child:
    """A Python module that runs as a program: `python -m MODULE ARGUMENTS`. Leaving the `with` block ends it."""

    def __init__(self, module: str, *arguments: str, log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "components.process.lifeline", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**environment, **IN_ORDER},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status; negative is the signal that killed it; None while it runs."""
        return self._process.poll()

    def polls_until_end(self) -> Iterator[None]:
        """Yields every tenth of a second while the child runs, and once after its end, to read its last output."""
        while self.status is None:
            yield
            time.sleep(_POLL)
        yield

    def last_lines(self, count: int) -> list[str]:
        with self.log.open(errors="replace") as file:
            return [line.rstrip("\n") for line in collections.deque(file, maxlen=count)]

    def end(self) -> None:
        """Ends the child and what it started: asks first, and kills it if that does not help. A second call does
        nothing.
        """
        pipe = self._process.stdin
        if pipe is not None and not pipe.closed:
            end_session(self._process)
            pipe.close()


def end_session(process: "subprocess.Popen[bytes]") -> None:
    """Ends the session that `process` leads. Also what is left of it after its leader's end."""
    for sign, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 1.0)):
        try:
            os.killpg(process.pid, sign)
        except _NOBODY:
            break
        if _gone(process, patience):
            break
    process.wait()


def _gone(process: "subprocess.Popen[bytes]", patience: float) -> bool:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        process.poll()  # a leader that nobody has waited for still counts as a member
        try:
            os.killpg(process.pid, 0)
        except _NOBODY:
            return True
        time.sleep(0.02)
    return False
