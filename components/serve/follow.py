"""Keeps serving at the champion: asks the registry now and then, loads a new version, or a new item table of the same
one, beside the old one, and swaps.

A request takes `current` once and keeps it to its end, so no answer mixes two versions or tables. When the registry
does not answer, or what is new can't be loaded, the old one stays. A version whose new item table can't be loaded is
served with its own.
"""

import logging
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from components.errors import StepError, one_line
from components.packages.current_items import published_for
from components.packages.fetch import version_at
from components.predict.engines import EngineName
from components.serve.version import ServedVersion, load_version
from components.tracking.item_tables import TableEntry
from components.tracking.models import Models, Version
from components.tracking.tags import PACKAGE_HASH, STATUS

_LONGEST_WAIT = 600.0  # seconds between two attempts at a version that can't be loaded
_loading = threading.Lock()  # torch.export.load fails when two threads are in it, as for champion and challenger
_log = logging.getLogger(__name__)


@dataclass
class Follower:
    models: Models
    alias: str
    cache: Path
    every: float  # seconds between two looks at the registry
    number: int | None = None  # serve this version and follow no alias; 0: none is chosen yet
    engine: EngineName = "eager"
    optional: bool = False  # serve none when the alias names none, or the version was rejected
    current: ServedVersion | None = None
    problem: str = "the registry was not asked yet"  # why `current` may not be the newest; empty: it is
    failures: int = 0  # versions that could not be loaded
    swaps: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _serves: tuple[int, str] = (0, "")  # number of the version, and hash of the item table that was published for it
    _refused: dict[str, tuple[int, float]] = field(default_factory=dict)  # by hash: attempts, and when to try again

    def start(self) -> None:
        threading.Thread(target=self._follow, name="follow the registry", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _follow(self) -> None:
        while True:
            self.look()
            if self._stop.wait(self.every):
                return

    def look(self) -> None:
        """One look at the registry. Whatever goes wrong is kept in `problem`, and what is served stays."""
        try:
            self._look()
        except StepError as error:
            self._say(one_line(error))
        except Exception as error:  # noqa: BLE001 - the thread must outlive a slip, and the log shows it
            _log.warning("the registry could not be followed", exc_info=True)
            self._say(one_line(error))

    def _look(self) -> None:
        if self.number == 0:
            self._say("no version is chosen yet: --version is 0")
            return
        version = self.models.version(self.number) if self.number else version_at(self.models, self.alias)
        if version is None:
            if self.optional:
                self.current, self._serves = None, (0, "")
            self._say(f"{self.models.name} has no version at alias {self.alias!r} yet")
            return
        if self.optional and version.tags.get(STATUS) == "rejected":  # pinned by its number: it has no alias to lose
            self.current, self._serves = None, (0, "")
            self._say(f"{self.models.name} version {version.number} was rejected")
            return
        self._serve(version, published_for(self.models, version))

    def _serve(self, version: Version, entry: TableEntry | None) -> None:
        wanted = (version.number, entry.table if entry else "")
        if wanted == self._serves:
            self._say("")
            return
        key = "/".join((version.tags.get(PACKAGE_HASH, str(version.number)), wanted[1]))
        attempts, again_at = self._refused.get(key, (0, 0.0))
        if time.monotonic() < again_at:
            return
        try:
            with _loading:
                loaded = load_version(self.models, version, self.cache, self.engine, entry)
        except Exception:
            self.failures += 1
            wait = min(_LONGEST_WAIT, self.every * 2**attempts)
            self._refused[key] = attempts + 1, time.monotonic() + wait
            if entry is not None and self._serves[0] != version.number:
                self._serve(version, None)
            raise
        before = self.current.number if self.current else None
        self.current, self._serves = loaded, wanted
        self.swaps += 1
        self._say("")
        _log.warning(
            "version %s is served now with the item table %s, after %s",
            loaded.number,
            loaded.item_table[:16],
            before or "none",
        )

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            _log.warning("%s", problem)
        self.problem = problem
