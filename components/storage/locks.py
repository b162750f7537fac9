"""One process at a time works on a path, on one machine or on several that share a volume.

The lock is a small file. Whoever creates it exclusively (O_EXCL) holds the path, writes process and machine into it,
touches it every 15 seconds while it works, and removes it at the end. `flock` would be simpler, but the kernel keeps
such a lock on one machine only for many network file systems (NFS mounted with `nolock` or `local_lock`, SMB, most FUSE
and CSI drivers), while exclusive creation, `rename` and modification times are what every one of them shares.

A holder that died is replaced at once if it ran on this machine, and otherwise when its file has not been touched for
two minutes (three on a file system that cannot exchange two names, which NFS cannot). A holder that was merely
suspended for so long notices: `Hold.check` raises, and is called before anything that a second holder could destroy.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import SoftFileLease, Timeout

from components.errors import StepError, one_line

LEASE = 120.0  # seconds without a touch after which the holder counts as dead; NFS may show a touch a minute late
TOUCH = 15.0  # seconds between two touches
UNSIGNED = 10.0  # seconds that a file without an owner is left alone: its creator died before it wrote its name
POLL = 0.1  # seconds between two attempts
TELL_AFTER = 1.0  # seconds of waiting after which the log says for whom

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hold:
    """The right to work on a path, for as long as the `with` block of `alone` runs."""

    path: Path
    _lease: SoftFileLease

    def check(self) -> None:
        """Raises StepError if another process has taken over meanwhile. Call it before what cannot be undone."""
        owner = self._lease.owner
        if owner is None or owner.token != self._lease.token:
            raise StepError(
                f"{self.path}: this process was suspended for more than {LEASE:.0f} s, and {_who(self._lease)} "
                "went on in its place; run again"
            )


@contextmanager
def alone(path: Path, *, wait: bool = True) -> Iterator[Hold]:
    """Holds the lock file `path`; waits for its holder, or with `wait=False` raises StepError that names the holder."""
    lease = SoftFileLease(path, lease_duration=LEASE, heartbeat_interval=TOUCH, poll_interval=POLL)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lease.acquire(cancel_check=_Waiting(lease, path, wait))
    except Timeout:
        raise StepError(f"{path}: {_who(lease)} is at work there; wait until it has ended, then run again") from None
    except OSError as error:
        raise StepError(f"{path}: the lock file can't be written ({one_line(error)})") from None
    try:
        yield Hold(path, lease)
    finally:
        lease.release()


@dataclass
class _Waiting:
    """Called at each attempt that failed: says for whom it waits, and removes what a dead process left."""

    lease: SoftFileLease
    path: Path
    wait: bool
    _seen: tuple[int, int] = (0, 0)  # inode and modification time of the lock file at the last look
    _since: float = 0.0  # when it was first seen like that, on this process's own clock
    _began: float = field(default_factory=time.monotonic)
    _told: bool = False

    def __call__(self) -> bool:
        """Whether to give up."""
        try:
            marker = self.path.stat()
        except FileNotFoundError:  # it was released: the next attempt may take it
            return False
        now = time.monotonic()
        if self._seen != (marker.st_ino, marker.st_mtime_ns):
            self._seen, self._since = (marker.st_ino, marker.st_mtime_ns), now
        # The clocks of two machines differ, so only a change of the file, timed here, tells that its holder is alive.
        if now - self._since > (1.5 * LEASE if marker.st_size else UNSIGNED):
            _log.warning("%s: removing the lock of %s, which shows no sign of life", self.path, _who(self.lease))
            self.lease.break_lock()
            return False
        if not self.wait and marker.st_size and time.time() - marker.st_mtime < LEASE:
            return True
        if not self._told and now - self._began > TELL_AFTER:
            self._told = True
            _log.info("waiting for %s, which is at work on %s", _who(self.lease), self.path)
        return False


def _who(lease: SoftFileLease) -> str:
    if (owner := lease.owner) is None:
        return "another process"
    host = owner.hostname.partition("?")[0] or "this machine"  # behind the "?" is the container's process namespace
    return f"process {owner.pid} on {host}" + (" (this one)" if owner.pid == os.getpid() else "")
