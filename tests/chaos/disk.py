"""A disk that is full: the workspace lies on a small file system of its own, which has a few bytes left.

Ten amounts of free space, from none to two megabytes, and each kind of work at each. Allowed is one clear line, or that
the space was enough; when there is space again, the same work must end as on an empty disk. Only root may mount: for
anybody else no file may grow beyond the free space, which the product meets as an error from the same calls.
"""

import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.chaos import readers
from tests.chaos.isolated import run_isolated
from tests.chaos.place import prepared, restore
from tests.chaos.readers import Place
from tests.chaos.record import Record, Result, WrongError
from tests.chaos.reference import Reference

FREE = [0, 4, 8, 16, 32, 64, 128, 256, 512, 2048]  # KiB
SIZE = 96  # MiB of the file system
COLD = {  # the work, and the caches that it must fill first
    "train": ("training",),
    "embed": ("embeddings",),
    "register": (),
    "predict": ("models", "rows"),
    "approve": (),
    "versioned data": ("data",),
}


def work(place: Place, name: str, largest_file: int | None) -> Any:
    """In a process of its own, whose temporary files lie in the workspace as those of a run do."""
    tempfile.tempdir = str(place.workspace)
    if largest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    try:
        if name in ("predict", "approve", "versioned data"):
            read = {"predict": readers.read_scores, "approve": readers.read_approval}
            return read.get(name, readers.read_versioned_data)(place)
        return readers.read_step(place, name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def run_disk(record: Record, reference: Reference, count: int) -> None:
    """The first `count` of all pairs of free space and work, smallest space first."""
    place, scratch = prepared(reference), reference.folder / "scratch"
    with _small_disk(place) as mounted:
        expected: dict[str, Any] = {}
        for free, name in [(free, name) for free in FREE for name in COLD][:count]:
            if name not in expected:
                _refill(place, name)
                expected[name] = _with_space(place, name, scratch)
            fault = partial(fill, place, name, free, mounted, expected[name], scratch)
            record.attempt(f"{free} KiB free", f"{name} with {free} KiB free", fault)
    restore(place)


def _with_space(place: Place, name: str, scratch: Path) -> Any:
    seen = run_isolated(work, place, name, None, folder=scratch)
    if seen.told or seen.crashed:
        raise SystemExit(f"{name} does not work on an empty disk: {seen.told}{seen.crashed}")
    return seen.value


def fill(place: Place, name: str, free: int, mounted: bool, expected: Any, scratch: Path) -> Result:
    _refill(place, name)
    ballast = place.workspace / "ballast"
    if mounted:
        ballast.write_bytes(bytes(shutil.disk_usage(place.workspace).free - free * 1024))
    limit = None if mounted else free * 1024
    seen = run_isolated(work, place, name, limit, folder=scratch)
    ballast.unlink(missing_ok=True)
    if seen.crashed or len(seen.told.splitlines()) > 1:
        raise WrongError((seen.crashed or seen.told)[-600:])
    if not seen.told:
        if seen.value != expected:
            raise WrongError(f"another result without a word: {str(seen.value)[:300]}")
        return Result("recovered", "the space was enough, or what could not be kept was not needed")
    again = run_isolated(work, place, name, None, folder=scratch)
    if again.value != expected:
        raise WrongError(f"{seen.told!r}, and with space again: {again.told}{again.crashed}{str(again.value)[:300]}")
    return Result("told", seen.told)


def _refill(place: Place, name: str) -> None:
    """The workspace as it was before the first fault, without the caches that the work must fill."""
    for path in place.workspace.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    pristine = place.workspace.parent / "pristine" / place.workspace.name
    shutil.copytree(pristine, place.workspace, symlinks=True, dirs_exist_ok=True)
    for cache in COLD[name]:
        shutil.rmtree(place.workspace / "cache" / cache, ignore_errors=True)


@contextmanager
def _small_disk(place: Place) -> Iterator[bool]:
    """A file system in memory in the workspace's place; False where this user may not mount one."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "mmctr-chaos", str(place.workspace)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "--lazy", str(place.workspace)], check=True)
