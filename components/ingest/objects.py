"""A cache of files by their md5, shared by runs, filled from wherever the objects are.

An object is named as DVC names it: by its md5, followed by `.dir` for the list of a folder's files.

Each object is fetched by one process at a time, into a scratch file, and takes its place only when its md5 is right: a
reader finds a whole object or none. What was fetched stays when a later object fails, so a repeated run goes on from
there. The md5 of an object that is here already is checked each time; a damaged one is moved aside and fetched again.
"""

import errno
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from components.errors import StepError, one_line
from components.ingest.manifest import ListedFile, md5_file
from components.process.progress import Progress
from components.storage.files import FULL_DISK, full_disk_in_one_line, put_in_place
from components.storage.locks import alone
from components.storage.verified import set_aside

_log = logging.getLogger(__name__)
PARALLEL = 8  # objects at once; the clients split large ones further


class ObjectSource(Protocol):
    """A place that may hold objects. FileNotFoundError means that it does not have one; any other OSError, that it
    can't be reached now.
    """

    @property
    def location(self) -> str: ...

    def fetch(self, name: str, path: Path, on_bytes: Callable[[int], None]) -> None: ...


@dataclass(frozen=True)
class Patience:
    """How long to try: a server that restarts, or a network that is back within seconds, should not fail a run."""

    attempts: int = 6
    first_wait: float = 0.5  # seconds; doubled after each attempt, 15.5 s in all


@dataclass(frozen=True)
class ObjectCache:
    root: Path
    patience: Patience = Patience()

    def path(self, name: str) -> Path:
        return self.root / "files" / name[:2] / name[2:]

    def fill(self, entries: list[ListedFile], sources: list[ObjectSource], bar: Progress) -> None:
        """Makes sure that every entry is in the cache with the right content, or raises StepError."""
        lock = threading.Lock()

        def advance(count: int) -> None:
            with lock:
                bar.advance(count)

        titles = {entry.md5: entry.path for entry in entries}  # equal files are one object
        stop = threading.Event()

        def one(name: str) -> None:
            if not stop.is_set():
                try:
                    self.obtain(name, titles[name], sources, advance)
                except BaseException:
                    stop.set()  # no further object is begun
                    raise

        with ThreadPoolExecutor(PARALLEL) as pool:
            done = [pool.submit(one, name) for name in titles]
        for future in done:
            future.result()

    def obtain(
        self, name: str, title: str, sources: list[ObjectSource], on_bytes: Callable[[int], None] = lambda _: None
    ) -> Path:
        """The path of one object: checked if it is here, fetched and checked if not. `title` is for messages."""
        path = self.path(name)
        with disk_errors_in_one_line(self.root), alone(self.root / "locks" / name):
            if path.is_file() and md5_file(path) == _md5_of(name):
                on_bytes(path.stat().st_size)
                return path
            if path.exists():
                set_aside(path, f"it is not the {title} that was fetched")
            scratch = self.root / "partial" / name
            scratch.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._fetch(name, title, scratch, sources, on_bytes)
                scratch.chmod(0o444)  # runs share it by links: nobody should write into it
                path.parent.mkdir(parents=True, exist_ok=True)
                put_in_place(scratch, path)
            finally:
                scratch.unlink(missing_ok=True)
        return path

    def _fetch(
        self, name: str, title: str, scratch: Path, sources: list[ObjectSource], on_bytes: Callable[[int], None]
    ) -> None:
        corrupt = ""
        for source in sources:
            scratch.unlink(missing_ok=True)
            try:
                self._fetch_patiently(source, name, title, scratch, on_bytes)
            except FileNotFoundError:
                continue
            found = md5_file(scratch)
            if found == _md5_of(name):
                return
            corrupt = f"{title} in {source.location} is corrupt: its md5 is {found}, and should be {_md5_of(name)}"
        if corrupt:
            raise StepError(f"{corrupt}; delete that object and dvc push it again from a good copy")
        places = " or ".join(source.location for source in sources) or "no remote"
        raise StepError(
            f"{title} (md5 {name}) is not in {places}: dvc push from where the data was added, "
            "or check that remote and bucket are the right ones"
        )

    def _fetch_patiently(
        self, source: ObjectSource, name: str, title: str, scratch: Path, on_bytes: Callable[[int], None]
    ) -> None:
        wait = self.patience.first_wait
        for attempt in range(1, self.patience.attempts + 1):
            try:
                return source.fetch(name, scratch, on_bytes)
            except FileNotFoundError:
                raise
            except PermissionError as error:
                raise StepError(
                    f"{source.location} refuses these credentials ({one_line(error)}): "
                    "check AWS_ACCESS_KEY_ID or AWS_PROFILE, and the identity's right to read"
                ) from None
            except OSError as error:
                if error.errno in FULL_DISK:
                    raise
                if attempt == self.patience.attempts:
                    raise StepError(
                        f"{title} can't be fetched from {source.location} ({one_line(error)}), tried {attempt} times: "
                        "check the endpoint and the network; the next run goes on from what is here"
                    ) from None
                _log.warning("%s: %s; again in %.1f s", title, one_line(error), wait)
            time.sleep(wait)
            wait *= 2
        raise AssertionError("unreachable")


def _md5_of(name: str) -> str:
    return name.removesuffix(".dir")


def ensure_space(folder: Path, needed: int) -> None:
    """Refuses a download for which there is no room, before it begins."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StepError(
            f"{folder} has {_size(free)} free, and the data needs {_size(needed)}: "
            "make room, or let the workspace lie on a larger disk"
        )


@contextmanager
def disk_errors_in_one_line(folder: Path) -> Iterator[None]:
    try:
        with full_disk_in_one_line(folder):
            yield
    except OSError as error:
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise StepError(f"{folder} can't be written ({one_line(error)}): choose another workspace") from None
        raise


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
