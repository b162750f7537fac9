"""A piece of a study's work in a process of its own: a request in, an answer out, a reason when there is none.

    request.json    what to do
    failure.json    {"message": ...} when a person must mend something
    events.jsonl    progress, for whoever watches
    task.log        what the process said

Own processes, so that one that dies of its data or its memory takes nothing else with it.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from components.errors import StepError, one_line
from components.process.children import PATIENT, end_session
from components.process.progress import EVENTS_VARIABLE
from components.storage.files import read_json, write_json

# One thread, whatever the number of jobs: the sum of a batch depends on how many threads share it, and with it the
# weights.
_ALONE = {"OMP_NUM_THREADS": "1", **PATIENT}
_PARENT = "MMCTR_STUDY_PID"


class Task:
    """A started process."""

    def __init__(self, module: str, folder: Path, request: dict[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "failure.json").unlink(missing_ok=True)
        self.events = folder / "events.jsonl"
        self.events.write_text("")
        self._rest, self._read = "", 0
        write_json(folder / "request.json", request)
        environment = {**_ALONE, **os.environ, EVENTS_VARIABLE: str(self.events), _PARENT: str(os.getpid())}
        with (folder / "task.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(folder)],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the study, which ends its tasks itself
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        return self._process.poll()

    def new_events(self) -> Iterator[dict[str, Any]]:
        with self.events.open(encoding="utf-8") as file:
            file.seek(self._read)
            self._rest += file.read()
            self._read = file.tell()
        *lines, self._rest = self._rest.split("\n")
        yield from (json.loads(line) for line in lines)

    def failure(self) -> str:
        """Why it ended without success."""
        if (self.folder / "failure.json").is_file():
            return str(read_json(self.folder / "failure.json")["message"])
        status = self.status or 0
        how = f"was killed by signal {-status}" if status < 0 else f"ended with exit code {status}"
        last = (self.folder / "task.log").read_text(errors="replace").strip().splitlines()[-1:]
        return f"its process {how}; its log: {self.folder / 'task.log'}" + "".join(f" ({line[:200]})" for line in last)

    def end(self) -> None:
        """Ends the process and what it started, politely first. One that has ended is left alone."""
        if self.status is None:
            end_session(self._process)


def serve(work: Callable[[dict[str, Any]], None]) -> int:
    """The other side: runs `work` on the request of the folder that the command line names."""
    from components.train.worker import die_with_parent

    die_with_parent()
    if (study := os.environ.get(_PARENT)) and int(study) != os.getppid():
        return 1  # the study died before it could be followed
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    folder = Path(sys.argv[1])
    try:
        work(read_json(folder / "request.json"))
    except (StepError, ValueError) as error:
        logging.getLogger(__name__).exception("failed")
        write_json(folder / "failure.json", {"message": one_line(error)})
        return 1
    return 0
