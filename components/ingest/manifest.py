"""The list of a dataset's files with their md5, as DVC writes it; its own md5 is the dataset's name."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from components.errors import StepError
from components.ingest.revision import is_md5

_BLOCK = 1 << 20


@dataclass(frozen=True)
class ListedFile:
    path: str  # relative, with /
    md5: str


def read_manifest(data: bytes) -> list[ListedFile]:
    try:
        entries = [ListedFile(str(one["relpath"]), str(one["md5"])) for one in json.loads(data)]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StepError("the data's manifest is not a list of files: dvc push it again from a good copy") from None
    for entry in entries:
        path = PurePosixPath(entry.path)
        if path.is_absolute() or ".." in path.parts or not path.parts or not is_md5(entry.md5):
            raise StepError(f"the data's manifest names {entry.path!r}: only files inside data/ are taken")
    return entries


def manifest_md5(entries: list[ListedFile]) -> str:
    """What DVC would call a folder of these files."""
    listed = [{"md5": e.md5, "relpath": e.path} for e in sorted(entries, key=lambda e: PurePosixPath(e.path).parts)]
    return hashlib.md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest()


def md5_file(path: Path, on_bytes: Callable[[int], None] = lambda _: None) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            on_bytes(len(block))
    return digest.hexdigest()


def list_folder(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
