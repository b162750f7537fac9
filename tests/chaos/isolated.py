"""Runs a part of the product in a process of its own, and says how it ended: with a value, one line, or a traceback.

The processes are forks of a server that has imported what is slow to import. A process of its own, because a damaged
file may end it by a signal, and because libraries remember files that the next fault replaces.
"""

import json
import multiprocessing
import os
import resource
import signal
import traceback
from collections.abc import Callable
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


def run_isolated(
    read: Callable[..., Any], *arguments: Any, folder: Path, largest_file: int | None = None, patience: float = 300.0
) -> Seen:
    """Calls `read(*arguments)`, which returns what JSON can hold. `largest_file` is in bytes: a full disk."""
    folder.mkdir(parents=True, exist_ok=True)
    answer, log = folder / "answer.json", folder / "output.log"
    answer.unlink(missing_ok=True)
    child = _FORKS.Process(target=_work, args=(read, arguments, answer, log, largest_file))
    child.start()
    child.join(patience)
    if child.exitcode is None:
        child.kill()
        child.join()
        return Seen(crashed=f"no end after {patience:.0f} s", log=log.read_text(errors="replace"))
    said = log.read_text(errors="replace")
    if not answer.is_file():
        return Seen(crashed=f"the process ended with exit status {child.exitcode}", log=said)
    return Seen(**json.loads(answer.read_text()), log=said)


def _work(
    read: Callable[..., Any], arguments: tuple[Any, ...], answer: Path, log: Path, largest_file: int | None
) -> None:
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if largest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    ended = _ending(read, arguments)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    answer.write_text(json.dumps(ended))


def _ending(read: Callable[..., Any], arguments: tuple[Any, ...]) -> dict[str, Any]:
    try:
        return {"value": read(*arguments)}
    except (StepError, ValueError) as error:  # what the command line and the steps show as one line
        return {"told": str(error)}
    except BaseException:  # noqa: BLE001  whatever it is, it is what the user would see
        return {"crashed": traceback.format_exc()[-2000:]}
