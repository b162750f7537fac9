"""Progress of long work, told to whoever listens.

A step says `with progress("encode images", total, "items") as bar: bar.advance(8)`. Where the words go is
decided outside: `MMCTR_EVENTS` names a JSON-lines file that the command line watches and draws; without it
the lines go to the log, one every few seconds, which is what a pod's log wants.
"""

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

EVENTS_VARIABLE = "MMCTR_EVENTS"
_log = logging.getLogger(__name__)


def emit(kind: str, **fields: Any) -> None:
    """Appends one event. A line is written in one call, so that processes may share the file."""
    path = os.environ.get(EVENTS_VARIABLE)
    if path:
        line = json.dumps({"kind": kind, "time": time.time(), **fields}) + "\n"
        with open(path, "a", encoding="utf-8") as file:
            file.write(line)


@dataclass
class Progress:
    """Counts work done; speaks at most every `interval` seconds."""

    name: str
    total: int
    unit: str
    done: int = 0
    interval: float = 0.5
    log_interval: float = 10.0
    _started: float = field(default_factory=time.monotonic)
    _emitted: float = 0.0
    _logged: float = field(default_factory=time.monotonic)

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        now = time.monotonic()
        if now - self._emitted >= self.interval:
            self._emitted = now
            self._emit(note)
        if not os.environ.get(EVENTS_VARIABLE) and now - self._logged >= self.log_interval:
            self._logged = now
            rate, left = self.rate(), self.total - self.done
            eta = f", {left / rate:.0f} s left" if rate > 0 else ""
            _log.info("%s: %d of %d %s, %.1f/s%s %s", self.name, self.done, self.total, self.unit, rate, eta, note)

    def rate(self) -> float:
        elapsed = time.monotonic() - self._started
        return self.done / elapsed if elapsed > 0 else 0.0

    def _emit(self, note: str = "", finished: bool = False) -> None:
        emit("progress", name=self.name, total=self.total, unit=self.unit, done=self.done, rate=self.rate(), note=note,
             finished=finished)  # fmt: skip


@contextmanager
def progress(name: str, total: int, unit: str) -> Iterator[Progress]:
    bar = Progress(name, total, unit)
    bar._emit()
    try:
        yield bar
    finally:
        bar._emit(finished=True)
