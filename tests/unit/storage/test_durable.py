"""A power cut leaves the old file or the new one: content reaches the disk before its name does, then the name.

Without the flush a file system may keep the rename and lose the content: the file is there, under its right name, and
holds zeros. No test here can cut the power, so these record the order of the calls that the kernel is given.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.embed.cache import CachedVector, VectorCache, content_key
from components.ingest.manifest import md5_file
from components.ingest.objects import ObjectCache
from components.ingest.sources import LocalCache
from components.storage.files import write_json
from components.storage.verified import made_once

Call = tuple[str, int, int]  # what was called, the inode it was called on, and the file's size then


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    made: list[Call] = []
    sync = os.fsync

    def note_sync(handle: int) -> None:
        stat = os.fstat(handle)
        made.append(("flush", stat.st_ino, stat.st_size))
        sync(handle)

    def noting(rename: Callable[..., None]) -> Callable[..., None]:
        def note_rename(source: Path, target: Path, **keywords: int) -> None:
            stat = os.stat(source)
            made.append(("rename", stat.st_ino, stat.st_size))
            rename(source, target, **keywords)

        return note_rename

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", noting(os.replace))
    monkeypatch.setattr(os, "rename", noting(os.rename))
    return made


def _json(root: Path) -> Path:
    write_json(root / "value.json", {"a": 1})
    return root / "value.json"


def _object(root: Path) -> Path:
    source = root / "dvc" / "files" / "md5"
    (root / "content").write_bytes(b"rows" * 1000)
    name = md5_file(root / "content")
    (source / name[:2]).mkdir(parents=True)
    (root / "content").rename(source / name[:2] / name[2:])
    return ObjectCache(root / "cache").obtain(name, "train.parquet", [LocalCache(root / "dvc")])


def _shard(root: Path) -> Path:
    with VectorCache(root / "vectors") as cache:
        return root / "vectors" / cache.put("clip", [CachedVector(content_key(b"a"), np.ones(3, np.float32))], 3)


WRITERS = {"json": _json, "data object": _object, "shard of vectors": _shard}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_is_flushed_then_named_then_its_folder_is_flushed(
    tmp_path: Path, calls: list[Call], writer: str
) -> None:
    path = WRITERS[writer](tmp_path)
    size, folder = path.stat().st_size, path.parent.stat().st_ino
    inode = path.stat().st_ino
    renamed = calls.index(("rename", inode, size))
    assert ("flush", inode, size) in calls[:renamed], "its content may be lost though its name is kept"
    assert any(call[:2] == ("flush", folder) for call in calls[renamed:]), "its name may be lost"


def test_an_entry_of_files_is_flushed_before_it_appears(tmp_path: Path, calls: list[Call]) -> None:
    entry = tmp_path / "rows" / "4711"

    def make(scratch: Path) -> None:
        (scratch / "labels").write_bytes(bytes(1000))
        (scratch / "meta.json").write_text("{}")

    made_once(entry, make)
    folder = entry.stat().st_ino
    renamed = next(at for at, call in enumerate(calls) if call[:2] == ("rename", folder))
    before = {call[1] for call in calls[:renamed] if call[0] == "flush"}
    for path in entry.iterdir():
        assert path.stat().st_ino in before, f"the content of {path.name} may be lost though the entry is kept"
    assert any(call[:2] == ("flush", entry.parent.stat().st_ino) for call in calls[renamed:])
