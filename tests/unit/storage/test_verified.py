"""A cache entry that changed in any way is noticed, named and moved aside."""

import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components.storage import verified
from components.storage.files import sha256_file
from components.storage.verified import CHECKED, DIGESTS, intact, seal


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    folder = tmp_path / "cache" / "4711"
    folder.mkdir(parents=True)
    (folder / "rows").write_bytes(bytes(range(256)) * 4)
    (folder / "meta.json").write_text('{"rows": 256}\n')
    (folder / "empty").touch()
    seal(folder, "4711")
    assert intact(folder)
    return folder


def _flip(path: Path, keep_times: bool = False) -> None:
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    if keep_times:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _swap(folder: Path) -> None:
    (folder / "rows").rename(folder / "x")
    (folder / "meta.json").rename(folder / "rows")
    (folder / "x").rename(folder / "meta.json")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "flip": (lambda f: _flip(f / "rows"), "rows is not what was written"),
    "flip with its time set back": (lambda f: _flip(f / "rows", True), "rows is not what was written"),
    "cut": (lambda f: os.truncate(f / "rows", 100), "rows is not what was written"),
    "emptied": (lambda f: os.truncate(f / "meta.json", 0), "meta.json is not what was written"),
    "grown": (lambda f: (f / "empty").write_bytes(b"x"), "empty is not what was written"),
    "missing": (lambda f: (f / "rows").unlink(), "rows is missing"),
    "swapped": (_swap, "is not what was written"),
    "a folder with a file added": (lambda f: shutil.copytree(f, f / "4711"), "4711/checked.json does not belong to it"),
    "flip in the digests": (lambda f: _flip(f / DIGESTS), "is not what was written|can't be read|is missing"),
    "a file more": (lambda f: (f / "more.json").write_text("{}"), "more.json does not belong to it"),
    "digests cut": (lambda f: os.truncate(f / DIGESTS, 20), f"{DIGESTS} can't be read"),
    "digests missing": (lambda f: (f / DIGESTS).unlink(), f"{DIGESTS} is missing"),
    "digests of another kind": (lambda f: (f / DIGESTS).write_text("[]"), f"{DIGESTS} can't be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_and_moved_aside(entry: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    do, words = DAMAGES[damage]
    do(entry)
    assert not intact(entry)
    assert not entry.exists()
    [aside] = entry.parent.iterdir()
    assert aside.name.startswith("4711.damaged-")
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert str(entry) in record.message
    assert aside.name in record.message
    assert re.search(words, record.message)


def test_an_entry_under_the_name_of_another_is_damage(entry: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = entry.rename(entry.with_name("4712"))
    assert not intact(other)
    assert "it is the entry '4711' under another name" in caplog.text


def test_an_entry_that_is_not_there_is_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not intact(tmp_path / "4711")
    assert not caplog.records


def test_it_is_read_once_a_day(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def hashing(path: Path) -> str:
        read.append(path.name)
        return sha256_file(path)

    monkeypatch.setattr(verified, "sha256_file", hashing)
    assert intact(entry)
    assert read == []
    (entry / "rows").touch()
    assert intact(entry)
    assert intact(entry)
    assert sorted(read) == ["empty", "meta.json", "rows"], "a file that was touched is read again, and only once"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + verified.DAY + 1)
    assert intact(entry)
    assert len(read) == 6
    monkeypatch.setattr(time, "time", lambda: now - 60)  # a clock that was set back proves nothing
    assert intact(entry)
    assert len(read) == 9


def test_what_a_reader_is_writing_is_no_damage(entry: Path) -> None:
    (entry / f".{CHECKED}.k3k2j1").touch()  # the scratch file of atomic_path
    assert intact(entry)


def test_a_spoiled_memory_of_the_last_check_is_no_proof(entry: Path) -> None:
    _flip(entry / "rows")
    (entry / CHECKED).write_text("{")
    assert not intact(entry)


def test_a_cache_that_cannot_be_written_is_checked_each_time(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("read-only")

    (entry / CHECKED).unlink()
    monkeypatch.setattr(verified, "write_json", refuse)
    assert intact(entry)
    assert not (entry / CHECKED).exists()
