"""The pipeline on this machine: `kfp.local` in a process of its own, its log in a file, its events drawn by the caller.

    python -m pipelines.local ARGUMENTS.json

A process of its own, because a run must be stoppable as a whole (Ctrl-C ends every step that it started), and because
kfp.local writes a page of log for each step, which belongs in a file.
"""

import json
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.process.children import PATIENT, Child, Tail
from components.process.progress import EVENTS_VARIABLE
from pipelines.workspace import scratch_variables, working_in

Event = dict[str, Any]


@dataclass(frozen=True)
class LocalRun:
    """One run of the pipeline on this machine, and where it keeps what it makes."""

    folder: Path
    arguments: dict[str, Any]
    environment: dict[str, str]

    @property
    def log(self) -> Path:
        return self.folder / "run.log"

    @property
    def events(self) -> Path:
        return self.folder / "events.jsonl"

    def execute(self, on_event: Callable[[Event], None]) -> int:
        """Runs to the end; returns the pipeline's exit status. An interrupt ends every step before it is raised."""
        with working_in(self.folder) as scratch:
            self.events.touch()
            events = Tail(self.events)
            arguments = self.folder / "arguments.json"
            arguments.write_text(json.dumps({"pipeline_root": str(self.folder / "steps"), "arguments": self.arguments}))
            with Child("pipelines.local", str(arguments), log=self.log, environment=self._variables(scratch)) as child:
                for _ in child.polls_until_end():
                    for event in events.events():
                        on_event(event)
                return child.status or 0

    def _variables(self, scratch: Path) -> dict[str, str]:
        run = {**self.environment, EVENTS_VARIABLE: str(self.events)}
        return {**PATIENT, **os.environ, **run, **scratch_variables(Path(self.arguments["workspace"]), scratch)}


def main(path: str) -> None:
    from kfp import local

    from pipelines.training import training_pipeline

    warnings.filterwarnings("ignore", message="You may be attemping to run a task", category=RuntimeWarning)
    given = json.loads(Path(path).read_text())
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=given["pipeline_root"])
    try:
        training_pipeline(**given["arguments"])
    except RuntimeError as error:  # kfp's word for a failed task; the step has told its cause in an event
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main(sys.argv[1])
