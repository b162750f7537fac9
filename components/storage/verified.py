"""Cache entries that are checked before they are used: a folder of files and, in `digests.json`, what they must hold.

    made_once(folder, make)      calls `make(scratch)` and seals what it wrote, unless an intact entry is there
    intact(folder)               for a reader that goes on without the entry
    require(folder, remedy)      for a reader that can't

A damaged entry is named in the log and moved aside, so that it is made anew as if it had never been there, and a person
can still look at what happened.

Hashing reads every byte, about a second for a gigabyte. An entry that was found intact is therefore not read again for
a day, unless one of its files has another size, inode, modification or change time than it had then. (The change time
moves with every write and cannot be set back.) So damage by any program is found at once, and a bit that the disk
itself turned is found within a day.
"""

import json
import logging
import shutil
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from components.errors import StepError
from components.storage.files import flush, sha256_file, write_json
from components.storage.locks import alone

DIGESTS = "digests.json"
CHECKED = "checked.json"  # when the entry was last found intact, and the size and times of its files then
DAY = 24 * 3600.0

_log = logging.getLogger(__name__)


def made_once(folder: Path, make: Callable[[Path], None]) -> None:
    """Lets `make` write the entry's files into a folder of its own, unless an intact entry is there.

    One process at a time does so; the others wait and find the entry. It appears at once and whole.
    """
    if folder.is_dir() and damage(folder) is None:
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = folder.with_name(f".{folder.name}.making")
    with alone(folder.with_name(f".{folder.name}.lock")) as hold:
        if intact(folder):
            return
        shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
        try:
            scratch.mkdir()
            make(scratch)
            seal(scratch, folder.name)
            hold.check()
            scratch.rename(folder)
            flush(folder.parent)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def seal(folder: Path, name: str) -> None:
    """Writes the digests of all files in `folder` and its folders, for an entry that will be called `name`."""
    files = sorted(_files(folder))
    for file in files:
        flush(folder / file)
    digests = {file: sha256_file(folder / file) for file in files}
    # The name is part of it: an intact entry under the name of another is damage too.
    write_json(folder / DIGESTS, {"entry": name, "sha256": digests})
    remember(folder, [DIGESTS, *digests])


def intact(folder: Path) -> bool:
    """Whether the entry is there and holds what it held when it was sealed. A damaged one is moved aside."""
    if not folder.is_dir():
        return False
    if reason := damage(folder):
        set_aside(folder, reason)
        return False
    return True


def require(folder: Path, remedy: str) -> None:
    """Raises StepError with the remedy unless the entry is intact."""
    if not folder.is_dir():
        raise StepError(f"{folder} is missing: {remedy}")
    if reason := damage(folder):
        aside = set_aside(folder, reason)
        raise StepError(f"{folder} was damaged ({reason}) and is now called {aside.name}: {remedy}")


def damage(folder: Path) -> str | None:
    """What is wrong with an entry, or None."""
    try:
        sealed = json.loads((folder / DIGESTS).read_bytes())
        entry, digests = sealed["entry"], dict(sealed["sha256"])
    except FileNotFoundError:
        return f"{DIGESTS} is missing"
    except (ValueError, KeyError, TypeError):
        return f"{DIGESTS} can't be read"
    if entry != folder.name:
        return f"it is the entry {entry!r} under another name"
    for file in digests:
        if not (folder / file).is_file():
            return f"{file} is missing"
    if extra := sorted(_files(folder) - digests.keys()):
        return f"{extra[0]} does not belong to it"
    return once_a_day(folder, [DIGESTS, *digests], lambda: _changed(folder, digests))


def _changed(folder: Path, digests: dict[str, str]) -> str | None:
    for file, expected in digests.items():
        if sha256_file(folder / file) != expected:
            return f"{file} is not what was written"
    return None


def _files(folder: Path) -> set[str]:
    """The files of an entry, without its own record and without what a killed process was about to write there."""
    own = (DIGESTS, CHECKED, f".{DIGESTS}.", f".{CHECKED}.")
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {file for file in found if not file.startswith(own)}


def once_a_day(folder: Path, files: Collection[str], check: Callable[[], str | None]) -> str | None:
    """What `check` finds wrong. It is not called if less than a day ago it found nothing in the same files."""
    stamps = _stamps(folder, files)
    if _checked_lately(folder, stamps):
        return None
    if found := check():
        return found
    _write_down(folder, stamps)
    return None


def remember(folder: Path, files: Collection[str]) -> None:
    """Says that the files are intact as they are now."""
    _write_down(folder, _stamps(folder, files))


def set_aside(path: Path, reason: str) -> Path:
    """Renames a damaged file or folder, and says so."""
    aside = path.with_name(aside_name(path.name))
    with suppress(FileNotFoundError):  # another process, which noticed as well, was faster
        path.rename(aside)
        _log.warning("%s is damaged (%s): renamed to %s, and will be made again", path, reason, aside.name)
    return aside


def aside_name(name: str) -> str:
    """What something damaged is called from now on."""
    return f"{name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}-{time.time_ns() % 10**9:09d}"


def _write_down(folder: Path, stamps: dict[str, list[int]]) -> None:
    with suppress(OSError):  # an entry in a folder that can't be written is read each time
        write_json(folder / CHECKED, {"time": time.time(), "files": stamps})


def _stamps(folder: Path, files: Collection[str]) -> dict[str, list[int]]:
    found = {file: (folder / file).stat() for file in files if file != CHECKED}
    return {file: [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns] for file, stat in found.items()}


def _checked_lately(folder: Path, stamps: dict[str, list[int]]) -> bool:
    try:
        checked = json.loads((folder / CHECKED).read_bytes())
        return bool(checked["files"] == stamps and 0 <= time.time() - checked["time"] < DAY)
    except (OSError, ValueError, KeyError, TypeError):
        return False
