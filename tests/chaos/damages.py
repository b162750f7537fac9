"""Six ways in which a file can stop being what was written."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[Path, random.Random], None]


def flip(path: Path, chance: random.Random) -> None:
    """One bit, as a failing disk or memory does it."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, chance: random.Random) -> None:
    """The end is missing, as after a copy that was broken off."""
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(1, len(content))])


def empty(path: Path, _: random.Random) -> None:
    """Length zero, as some file systems leave a file after a power cut."""
    path.write_bytes(b"")


def delete(path: Path, _: random.Random) -> None:
    """Gone, as after somebody made space."""
    path.unlink()


def swap(path: Path, chance: random.Random) -> None:
    """Holds what another file of the same kind holds, or of the same folder: whole, and wrong."""
    kinds = [other for other in path.parent.parent.rglob(path.name) if _differs(other, path)]
    kinds = kinds or [other for other in path.parent.rglob(f"*{path.suffix}") if _differs(other, path)]
    kinds = kinds or [other for other in path.parent.rglob("*") if _differs(other, path)]
    content = chance.choice(sorted(kinds)).read_bytes() if kinds else path.read_bytes()[::-1]
    path.write_bytes(content)


def add(path: Path, chance: random.Random) -> None:
    """A file more than was written, as when two folders were copied into one."""
    extra = path.with_name(f"0-{chance.randrange(10**6)}{path.suffix}")
    shutil.copyfile(path, extra)
    flip(extra, chance)


def _differs(other: Path, path: Path) -> bool:
    return other.is_file() and other != path and other.read_bytes() != path.read_bytes()


DAMAGES: dict[str, Damage] = {
    "a bit flipped": flip,
    "truncated": truncate,
    "emptied": empty,
    "deleted": delete,
    "swapped": swap,
    "a file added": add,
}
