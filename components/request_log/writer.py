"""Writes the log beside the server's work: the request hands its entry over and never waits.

A thread takes the entries from a bounded queue, and puts a file into the store when enough has come together or enough
time has passed. A file appears whole or not at all. A process that is killed loses what no file holds yet. When the
queue is full an entry is dropped; when the store does not take a file, it is tried again, and given up when too many
wait. Both are counted.
"""

import io
import logging
import queue
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq

from components.errors import StepError, one_line
from components.request_log.choice import place, pseudonym
from components.request_log.entry import DAY, RATE, Entry, rows_of
from components.storage.objects import Store
from model.checks import at_least, between

_TICK = 0.2  # seconds between two looks at the clock
_RETRY = 10.0  # seconds between two attempts at a store that does not answer
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LogConfig:
    rate: float = 1.0  # share of the users that are logged; of the requests, where they name no user
    file_bytes: int = 32_000_000  # in memory; a file has about a tenth of it
    file_seconds: float = 60.0  # the oldest entry that no file holds yet
    waiting: int = 256  # entries between the request and the thread
    unsent: int = 8  # files that the store did not take yet

    def __post_init__(self) -> None:
        between("--log-rate", self.rate, 0.0, 1.0)
        at_least("--log-seconds", self.file_seconds, 0.1)


@dataclass
class LogCounts:
    """Requests, for the metrics."""

    written: int = 0
    dropped: int = 0  # the queue was full
    lost: int = 0  # the store took no files, or the entry could not be made into rows
    files: int = 0
    failures: int = 0  # attempts at a file


@dataclass
class _File:
    name: str
    content: bytes
    requests: int


@dataclass
class RequestLog:
    store: Store
    salt: bytes
    config: LogConfig = field(default_factory=LogConfig)
    counts: LogCounts = field(default_factory=LogCounts)

    def __post_init__(self) -> None:
        self._queue: queue.Queue[Entry] = queue.Queue(self.config.waiting)
        self._ending = threading.Event()
        self._open: list[pa.Table] = []  # one a request
        self._bytes, self._since, self._made, self._again = 0, 0.0, 0, 0.0
        self._instance = uuid.uuid4().hex[:12]
        self._unsent: deque[_File] = deque()
        self._thread = threading.Thread(target=self._write, name="request log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, seconds: float = 15.0) -> None:
        """Writes what is open, for as long as this may take."""
        self._ending.set()
        self._thread.join(seconds)

    def chosen(self, key: str) -> bool:
        """By the user, or by the request's id where there is none."""
        return place("log", key) < self.config.rate

    def pseudonym(self, user: str | None) -> str | None:
        return None if user is None else pseudonym(self.salt, user)

    def offer(self, entry: Entry) -> None:
        try:
            self._queue.put_nowait(entry)
        except queue.Full:
            self.counts.dropped += 1

    def _write(self) -> None:
        while True:
            ending = self._ending.is_set()
            try:
                self._take(self._queue.get(timeout=_TICK))
            except queue.Empty:
                if ending:
                    break
            now = time.monotonic()
            if self._open and (self._bytes >= self.config.file_bytes or now - self._since >= self.config.file_seconds):
                self._roll()
            if self._unsent and now >= self._again:
                self._send()
        self._roll()
        self._send()
        self.counts.lost += sum(file.requests for file in self._unsent)

    def _take(self, entry: Entry) -> None:
        try:
            rows = rows_of(entry)
        except Exception:  # noqa: BLE001 - the thread must outlive an entry that can't be written
            _log.warning("a request could not be logged", exc_info=True)
            self.counts.lost += 1
            return
        if not self._open:
            self._since = time.monotonic()
        self._open.append(rows)
        self._bytes += rows.nbytes

    def _roll(self) -> None:
        """Makes files of what is open: one for each set of columns, in which versions may differ."""
        groups: dict[pa.Schema, list[pa.Table]] = {}
        for rows in self._open:
            groups.setdefault(rows.schema, []).append(rows)
        self._open, self._bytes = [], 0
        for group in groups.values():
            table = pa.concat_tables(group).replace_schema_metadata({RATE: str(self.config.rate)})
            content = io.BytesIO()
            pq.write_table(table, content, compression="zstd")
            self._made += 1
            first: datetime = table["at"][0].as_py()
            name = f"{DAY}{first:%Y-%m-%d}/{first:%H%M%S}-{self._instance}-{self._made:06d}.parquet"
            self._unsent.append(_File(name, content.getvalue(), len(group)))
        while len(self._unsent) > self.config.unsent:
            self.counts.lost += self._unsent.popleft().requests

    def _send(self) -> None:
        while self._unsent:
            file = self._unsent[0]
            try:
                self.store.put(file.name, file.content)
            except (StepError, OSError) as error:
                self.counts.failures += 1
                self._again = time.monotonic() + min(_RETRY, self.config.file_seconds)
                _log.warning("the request log can't be written, and is tried again: %s", one_line(error))
                return
            self._unsent.popleft()
            self.counts.files += 1
            self.counts.written += file.requests
