"""A piece of a study's work in a process of its own: a request in, an answer out, a reason when there is none.

    request.json    what to do
    failure.json    {"message": ...} when a person must mend something
    events.jsonl    progress, for whoever watches
    task.log        what the process said

Own processes, so that one that dies of its data or its memory takes nothing else with it.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from components.errors import StepError, one_line
from components.process.children import PATIENT, Child, Tail
from components.process.progress import EVENTS_VARIABLE
from components.storage.files import read_json, write_json

# One thread, whatever the number of jobs: the sum of a batch depends on how many threads share it, and with it the
# weights.
_ALONE = {"OMP_NUM_THREADS": "1", **PATIENT}


class Task:
    """A started process."""

    def __init__(self, module: str, folder: Path, request: dict[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "failure.json").unlink(missing_ok=True)
        events = folder / "events.jsonl"
        events.write_text("")
        self._events = Tail(events)
        write_json(folder / "request.json", request)
        environment = {**_ALONE, **os.environ, EVENTS_VARIABLE: str(events)}
        self._child = Child(module, str(folder), log=folder / "task.log", environment=environment)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def status(self) -> int | None:
        return self._child.status

    def polls_until_end(self) -> Iterator[None]:
        return self._child.polls_until_end()

    def new_events(self) -> Iterator[dict[str, Any]]:
        return self._events.events()

    def failure(self) -> str:
        """Why it ended without success."""
        if (self.folder / "failure.json").is_file():
            return str(read_json(self.folder / "failure.json")["message"])
        status = self.status or 0
        how = f"was killed by signal {-status}" if status < 0 else f"ended with exit code {status}"
        last = "".join(f" ({line[:200]})" for line in self._child.last_lines(1))
        return f"its process {how}; its log: {self._child.log}{last}"

    def end(self) -> None:
        """Ends the process and what it started, politely first; also what it left behind when it ended by itself."""
        self._child.end()


def serve(work: Callable[[dict[str, Any]], None]) -> int:
    """The other side: runs `work` on the request of the folder that the command line names."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    folder = Path(sys.argv[1])
    try:
        work(read_json(folder / "request.json"))
    except (StepError, ValueError) as error:
        logging.getLogger(__name__).exception("failed")
        write_json(folder / "failure.json", {"message": one_line(error)})
        return 1
    return 0
