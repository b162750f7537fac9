"""Runs a part of the product in a process of its own, and says how it ended: with a value, one line, or a traceback.

The processes are forks of a server that has imported what is slow to import. A process of its own, because a damaged
file may end it by a signal, and because libraries remember files that the next fault replaces.
"""

import json
import multiprocessing
import os
import shutil
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import StepError

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["torch._dynamo", "mlflow", "tests.chaos.readers"])


@dataclass(frozen=True)
class Seen:
    """How a reader ended. Exactly one of the first three is set."""

    value: Any = None  # what it read
    told: str = ""  # the one line that a user is shown
    crashed: str = ""  # a traceback, a signal, or no end
    log: str = ""  # all that it wrote to its standard error


@dataclass
class Isolated:
    """One call in a process of its own. `seen` waits for its end."""

    process: Any
    folder: Path

    def wait(self, patience: float) -> None:
        self.process.join(patience)

    def seen(self, patience: float = 300.0) -> Seen:
        self.process.join(patience)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            return Seen(crashed=f"no end after {patience:.0f} s", log=self._said())
        answer = self.folder / "answer.json"
        if not answer.is_file():
            return Seen(crashed=f"the process ended with exit status {self.process.exitcode}", log=self._said())
        return Seen(**json.loads(answer.read_text()), log=self._said())

    def _said(self) -> str:
        log = self.folder / "output.log"
        return log.read_text(errors="replace") if log.is_file() else ""


def start(read: Callable[..., Any], *arguments: Any, folder: Path, at: float = 0.0) -> Isolated:
    """Begins `read(*arguments)`, which returns what JSON can hold; not before the time `at`, in seconds since 1970."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    child = _FORKS.Process(target=_work, args=(read, arguments, folder, at))
    child.start()
    return Isolated(child, folder)


def run_isolated(read: Callable[..., Any], *arguments: Any, folder: Path) -> Seen:
    return start(read, *arguments, folder=folder).seen()


def run_together(calls: Sequence[tuple[Any, ...]], folder: Path) -> list[Seen]:
    """Runs all calls at once, each a function and its arguments: they begin in the same instant."""
    at = time.time() + 0.2 * len(calls)
    children = [start(*call, folder=folder / str(number), at=at) for number, call in enumerate(calls)]
    return [child.seen() for child in children]


def _work(read: Callable[..., Any], arguments: tuple[Any, ...], folder: Path, at: float) -> None:
    with (folder / "output.log").open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    time.sleep(max(0.0, at - time.time()))
    ended = _ending(read, arguments)
    (folder / "answer.json").write_text(json.dumps(ended))


def _ending(read: Callable[..., Any], arguments: tuple[Any, ...]) -> dict[str, Any]:
    try:
        return {"value": read(*arguments)}
    except (StepError, ValueError) as error:  # what the command line and the steps show as one line
        return {"told": str(error)}
    except BaseException:  # noqa: BLE001  whatever it is, it is what the user would see
        return {"crashed": traceback.format_exc()[-2000:]}
