"""The cache of data objects, filled from sources that fail in every way a source can."""

import errno
import hashlib
import shutil
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.errors import StepError
from components.ingest import objects
from components.ingest.manifest import ListedFile
from components.ingest.objects import ObjectCache, Patience, ensure_space

CONTENT = b"rows" * 100
NAME = hashlib.md5(CONTENT).hexdigest()


@dataclass
class Source:
    """Gives `content`, after it has raised each of `errors` once."""

    content: bytes | None = CONTENT
    errors: list[OSError] = field(default_factory=list)
    location: str = "s3://somewhere"
    asked: int = 0
    pause: float = 0.0

    def fetch(self, name: str, path: Path, on_bytes: Callable[[int], None]) -> None:
        assert not path.exists(), "what an earlier attempt left could be appended to"
        self.asked += 1
        path.write_bytes(b"half")
        time.sleep(self.pause)
        if self.errors:
            path.unlink()
            raise self.errors.pop(0)
        if self.content is None:
            path.unlink()
            raise FileNotFoundError(name)
        path.write_bytes(self.content)
        on_bytes(len(self.content))


class Bar:
    def __init__(self) -> None:
        self.done = 0

    def advance(self, count: int) -> None:
        self.done += count


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(objects, "time", SimpleNamespace(sleep=waited.append))
    return waited


def left_over(root: Path) -> list[str]:
    return [path.name for path in (root / "partial").glob("*")] + [path.name for path in (root / "locks").glob("*")]


def test_an_object_is_whole_read_only_and_leaves_no_scratch(tmp_path: Path) -> None:
    counted: list[int] = []
    path = ObjectCache(tmp_path).obtain(NAME, "train.parquet", [Source()], counted.append)
    assert path == tmp_path / "files" / NAME[:2] / NAME[2:]
    assert path.read_bytes() == CONTENT
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert counted == [len(CONTENT)]
    assert left_over(tmp_path) == []


def test_an_object_that_is_here_is_not_fetched_and_counts_as_progress(tmp_path: Path) -> None:
    cache, source = ObjectCache(tmp_path), Source()
    counted: list[int] = []
    cache.obtain(NAME, "train.parquet", [source])
    cache.obtain(NAME, "train.parquet", [source], counted.append)
    assert (source.asked, counted) == (1, [len(CONTENT)])


def test_two_threads_that_want_one_object_fetch_it_once(tmp_path: Path) -> None:
    """Without the lock both would write into one scratch file."""
    cache, source = ObjectCache(tmp_path), Source(pause=0.2)
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(cache.obtain(NAME, "train.parquet", [source]))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert source.asked == 1
    assert [path.read_bytes() for path in found] == [CONTENT] * 3


def test_a_damaged_object_is_set_aside_and_fetched_again(tmp_path: Path) -> None:
    cache, source = ObjectCache(tmp_path), Source()
    path = cache.obtain(NAME, "train.parquet", [source])
    path.chmod(0o644)
    path.write_bytes(CONTENT[:-1] + b"x")
    assert cache.obtain(NAME, "train.parquet", [source]).read_bytes() == CONTENT
    assert source.asked == 2
    assert len(list(path.parent.glob(f"{path.name}.damaged-*"))) == 1


def test_the_list_of_a_folder_is_named_by_the_md5_without_its_ending(tmp_path: Path) -> None:
    assert ObjectCache(tmp_path).obtain(f"{NAME}.dir", "data", [Source()]).name == f"{NAME[2:]}.dir"


def test_sources_are_asked_in_turn(tmp_path: Path) -> None:
    absent, corrupt, good, never = Source(None), Source(b"noise"), Source(), Source()
    path = ObjectCache(tmp_path).obtain(NAME, "train.parquet", [absent, corrupt, good, never])
    assert path.read_bytes() == CONTENT
    assert [source.asked for source in (absent, corrupt, good, never)] == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ([Source(None), Source(None, location="/remote")], "is not in s3://somewhere or /remote: dvc push"),
        ([], "is not in no remote"),
        ([Source(b"noise"), Source(None)], "train.parquet in s3://somewhere is corrupt: its md5 is"),
        ([Source(errors=[PermissionError("403")])], "s3://somewhere refuses these credentials"),
    ],
    ids=["absent", "no source", "corrupt", "refused"],
)
def test_what_cannot_be_had_is_said_and_leaves_nothing(tmp_path: Path, sources: list[Any], said: str) -> None:
    cache = ObjectCache(tmp_path)
    with pytest.raises(StepError, match=said):
        cache.obtain(NAME, "train.parquet", sources)
    assert not cache.path(NAME).exists()
    assert left_over(tmp_path) == []


def test_a_server_that_is_away_is_asked_again_with_longer_waits(tmp_path: Path, waits: list[float]) -> None:
    source = Source(errors=[ConnectionError("reset"), TimeoutError("slow"), OSError("EOF")])
    ObjectCache(tmp_path).obtain(NAME, "train.parquet", [source])
    assert (source.asked, waits) == (4, [0.5, 1.0, 2.0])


def test_a_server_that_stays_away_is_given_up_on(tmp_path: Path, waits: list[float]) -> None:
    source = Source(errors=[ConnectionError("reset")] * 9)
    with pytest.raises(StepError, match=r"can't be fetched from s3://somewhere .*, tried 6 times"):
        ObjectCache(tmp_path).obtain(NAME, "train.parquet", [source])
    assert (source.asked, sum(waits)) == (6, 15.5)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "is full: make room and run again"),
        (errno.EDQUOT, "is full: make room and run again"),
        (errno.EROFS, "can't be written .*: choose another workspace"),
    ],
    ids=["disk", "quota", "read-only"],
)
def test_a_disk_that_cannot_be_written_is_said_at_once(
    tmp_path: Path, waits: list[float], code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise OSError(code, "disk")

    source = Source(errors=[OSError(code, "disk")] if code != errno.EROFS else [])
    if code == errno.EROFS:
        monkeypatch.setattr(objects, "put_in_place", broken)
    with pytest.raises(
        StepError, match=f"{tmp_path} {said}" if code == errno.EROFS else f"the disk of {tmp_path} {said}"
    ):
        ObjectCache(tmp_path).obtain(NAME, "train.parquet", [source])
    assert (source.asked, waits) == (1, [])


def listed(number: int, path: str = "") -> ListedFile:
    return ListedFile(path or f"file-{number}", hashlib.md5(str(number).encode()).hexdigest())


class Numbers(Source):
    """Has the object of each number below 100."""

    def fetch(self, name: str, path: Path, on_bytes: Callable[[int], None]) -> None:
        self.content = next(b for b in (str(n).encode() for n in range(100)) if hashlib.md5(b).hexdigest() == name)
        path.write_bytes(self.content)
        self.asked += 1
        on_bytes(len(self.content))


def test_every_entry_is_filled_and_equal_files_are_one_object(tmp_path: Path) -> None:
    cache, source, bar = ObjectCache(tmp_path), Numbers(), Bar()
    entries = [listed(1), listed(2), listed(2, "copy of file-2")]
    cache.fill(entries, [source], bar)  # type: ignore[arg-type]
    assert [cache.path(entry.md5).read_bytes() for entry in entries] == [b"1", b"2", b"2"]
    assert (source.asked, bar.done) == (2, 2)


def test_after_a_failure_nothing_new_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "PARALLEL", 1)
    source = Source(None)
    with pytest.raises(StepError, match="file-0"):
        ObjectCache(tmp_path, Patience(1)).fill([listed(n) for n in range(20)], [source], Bar())  # type: ignore[arg-type]
    assert source.asked == 1


def test_space_is_asked_for_before_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 * 2**30))
    ensure_space(tmp_path / "new", 3 * 2**30)
    assert (tmp_path / "new").is_dir()
    with pytest.raises(StepError, match=r"has 3\.0 GiB free, and the data needs 3\.0 GiB"):
        ensure_space(tmp_path, 3 * 2**30 + 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**19))
    with pytest.raises(StepError, match=r"has 0\.5 MiB free, and the data needs 1\.0 GiB"):
        ensure_space(tmp_path, 2**30)
