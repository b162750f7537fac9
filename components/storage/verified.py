"""Cache entries that are checked before they are used: a folder of files and, in `digests.json`, what they must hold.

    seal(scratch, name=folder.name); scratch.rename(folder)      the writer, before the entry takes its place
    if not intact(folder): ...make it again...                   the reader, before it opens a file

A damaged entry is named in the log and moved aside, so the reader makes it anew as if it had never been there, and a
person can still look at what happened.

Hashing reads every byte, about a second for a gigabyte. An entry that was found intact is therefore not read again for
a day, unless one of its files has another size, inode, modification or change time than it had then. (The change time
moves with every write and cannot be set back.) So damage by any program is found at once, and a bit that the disk
itself turned is found within a day.
"""

import json
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from components.storage.files import sha256_file, write_json

DIGESTS = "digests.json"
CHECKED = "checked.json"  # when the entry was last found intact, and how its files looked
DAY = 24 * 3600.0

_log = logging.getLogger(__name__)


def seal(folder: Path, name: str, files: Iterable[str] | None = None) -> None:
    """Writes the digests of `files`, or of all files in `folder`, for an entry that will be called `name`."""
    chosen = sorted(path.name for path in folder.iterdir() if path.is_file()) if files is None else sorted(files)
    digests = {file: sha256_file(folder / file) for file in chosen}
    # The name is part of it: an intact entry under the name of another is damage too.
    write_json(folder / DIGESTS, {"entry": name, "sha256": digests})


def intact(folder: Path) -> bool:
    """Whether the entry is there and holds what it held when it was sealed. A damaged one is moved aside."""
    if not folder.is_dir():
        return False
    if reason := damage(folder):
        set_aside(folder, reason)
        return False
    return True


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
    looks = {file: _look(folder / file) for file in [DIGESTS, *digests]}
    if _checked_lately(folder, looks):
        return None
    for file, expected in digests.items():
        if sha256_file(folder / file) != expected:
            return f"{file} is not what was written"
    with suppress(OSError):  # a folder that can't be written is checked each time
        write_json(folder / CHECKED, {"time": time.time(), "files": looks})
    return None


def set_aside(path: Path, reason: str) -> Path:
    """Renames a damaged file or folder, and says so."""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}-{time.time_ns() % 10**9:09d}")
    path.rename(aside)
    _log.warning("%s is damaged (%s): moved to %s, and made again", path, reason, aside.name)
    return aside


def _look(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]


def _checked_lately(folder: Path, looks: dict[str, Any]) -> bool:
    try:
        checked = json.loads((folder / CHECKED).read_bytes())
        return bool(checked["files"] == looks and 0 <= time.time() - checked["time"] < DAY)
    except (OSError, ValueError, KeyError, TypeError):
        return False
