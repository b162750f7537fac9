"""Scores logged requests once more with the challenger, after their answer was sent and while no request waits.

Only a few requests are kept for it: when there are more than it can score, they are logged without the second score.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from components.request_log.choice import place
from components.request_log.entry import Entry
from components.request_log.writer import RequestLog
from components.serve.asked import Asked
from components.serve.version import Scores, ServedVersion

_PAUSE = 0.002  # seconds between two looks whether a request is being scored
_LONGEST = 2.0  # seconds that one waits for a moment without requests
_log = logging.getLogger(__name__)
Ask = Callable[[ServedVersion, Asked], Scores]


@dataclass
class ShadowCounts:
    """Requests, for the metrics."""

    scored: int = 0
    dropped: int = 0  # too many waited, or the server was never idle
    failed: int = 0  # the challenger could not score it
    absent: int = 0  # no challenger was loaded


@dataclass
class Shadow:
    share: float  # of the users
    log: RequestLog
    busy: Callable[[], bool]  # whether a request waits or is being scored
    ask: Ask
    waiting: int = 64
    counts: ShadowCounts = field(default_factory=ShadowCounts)

    def __post_init__(self) -> None:
        self._queue: queue.Queue[tuple[Entry, ServedVersion, Asked] | None] = queue.Queue(self.waiting)
        self._thread = threading.Thread(target=self._score, name="shadow", daemon=True)
        self._ending = False

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """What still waits is logged without the second score."""
        self._ending = True
        try:
            self._queue.put(None, timeout=_LONGEST)
        except queue.Full:
            return
        self._thread.join(_LONGEST)

    def chosen(self, key: str) -> bool:
        """The same place as the log's, so that a share below the log's rate lies within what is logged."""
        return place("log", key) < self.share

    def offer(self, entry: Entry, challenger: ServedVersion | None, asked: Asked) -> None:
        if challenger is None:
            self.counts.absent += 1
            self.log.offer(entry)
            return
        try:
            self._queue.put_nowait((entry, challenger, asked))
        except queue.Full:
            self.counts.dropped += 1
            self.log.offer(entry)

    def _score(self) -> None:
        while (waiting := self._queue.get()) is not None:
            entry, challenger, asked = waiting
            self.log.offer(self._scored(entry, challenger, asked))

    def _scored(self, entry: Entry, challenger: ServedVersion, asked: Asked) -> Entry:
        until = time.monotonic() + _LONGEST
        while self.busy() or self._ending:
            if self._ending or time.monotonic() > until:
                self.counts.dropped += 1
                return entry
            time.sleep(_PAUSE)
        try:
            scores = self.ask(challenger, asked)
        except Exception:  # noqa: BLE001 - the thread must outlive whatever the challenger raises
            self.counts.failed += 1
            _log.warning("challenger %s could not score a request in the shadow", challenger.number, exc_info=True)
            return entry
        self.counts.scored += 1
        return replace(entry, shadow=challenger.number, shadow_logit=scores.logit)
