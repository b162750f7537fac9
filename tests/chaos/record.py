"""What a fault did, and the file that keeps it: one JSON a family of faults, written after each fault.

A run that was broken off goes on where it stopped, if code and seed are still the same; otherwise it starts anew.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from benchmarks.machine import machine
from components.errors import one_line
from components.storage.files import write_json

Outcome = Literal["recovered", "told", "wrong"]  # the same result as without the fault; one clear line; neither
_log = logging.getLogger(__name__)


class WrongError(AssertionError):
    """The product did what it must not: a wrong result, a traceback, something left behind."""


@dataclass(frozen=True)
class Result:
    """What one fault led to."""

    outcome: Outcome
    words: str = ""  # what the product said, or what was wrong


@dataclass
class Record:
    """The faults of one family that were tried so far."""

    path: Path
    seed: int
    folder: Path  # of the workspaces, whose address in what was said means nothing to a reader
    machine: dict[str, Any] = field(default_factory=machine)
    faults: list[dict[str, Any]] = field(default_factory=list)
    complete: bool = False

    @classmethod
    def open(cls, path: Path, seed: int, folder: Path) -> "Record":
        record = cls(path, seed, folder)
        if path.is_file():
            before = json.loads(path.read_text())
            same = before["seed"] == seed and before["machine"]["commit"] == record.machine["commit"]
            if same and not before["complete"]:
                record.machine, record.faults = before["machine"], before["faults"]
        return record

    def has(self, name: str) -> bool:
        return any(fault["name"] == name for fault in self.faults)

    def attempt(self, kind: str, name: str, fault: Callable[[], Result]) -> None:
        """Tries a fault that was not tried yet, and keeps what came of it. `kind` is its row in the table."""
        if self.has(name):
            return
        started = time.monotonic()
        try:
            result = fault()
        except WrongError as error:
            result = Result("wrong", one_line(error))
        result = replace(result, words=result.words.replace(f"{self.folder}/", ""))
        _log.info("%-10s %s %s", result.outcome, name, result.words[:200])
        seconds = round(time.monotonic() - started, 1)
        self.faults.append({"kind": kind, "name": name, "seconds": seconds, **asdict(result)})
        self.save()

    def finish(self) -> int:
        """Marks the family as done; returns how many faults went wrong."""
        self.complete = True
        self.save()
        return sum(fault["outcome"] == "wrong" for fault in self.faults)

    def save(self) -> None:
        content = {"machine": self.machine, "seed": self.seed, "complete": self.complete, "faults": self.faults}
        write_json(self.path, content)
