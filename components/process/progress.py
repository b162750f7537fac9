"""Progress of long work, and other events of a run.

A step says `with progress("encode images", total, "items") as bar: bar.advance(8)`. The environment decides where that
goes: `MMCTR_EVENTS` names a file of JSON lines, which the command line reads and draws. Without that variable, as in a
pod, a line goes to the log every ten seconds.
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
    """Appends one event. A line is written in one call, so that processes may share the file.

    A disk that is full must not hide why a step fails, so an event that can't be written goes to the log.
    """
    path = os.environ.get(EVENTS_VARIABLE)
    if path:
        line = json.dumps({"kind": kind, "time": time.time(), **fields}) + "\n"
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            _log.warning("%s could not be written (%s): %s", path, error.strerror, line.rstrip())


@dataclass
class Progress:
    """Counts work done, and reports it at most every `interval` seconds."""

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
        emit(
            "progress",
            name=self.name,
            total=self.total,
            unit=self.unit,
            done=self.done,
            rate=self.rate(),
            note=note,
            finished=finished,
        )


@contextmanager
def progress(name: str, total: int, unit: str) -> Iterator[Progress]:
    bar = Progress(name, total, unit)
    bar._emit()
    try:
        yield bar
    finally:
        bar._emit(finished=True)
