"""A disk that fills and a server that goes away during a download: what is said, and what the next run goes on with."""

import errno
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.errors import StepError
from components.ingest import objects
from components.ingest.step import ingest
from components.storage.versioning import Remote
from tests.unit.ingest.conftest import IMPATIENT


def test_a_full_disk_is_said_before_the_download(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(StepError, match=r"has 0\.0 MiB free, and the data needs 0\.\d MiB: make room"):
        ingest(str(repository), "two", tmp_path / "out", tmp_path / "cache")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT], ids=["disk", "quota"])
def test_a_disk_that_fills_during_the_download(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def half(_self: Remote, _name: str, path: Path, _on_bytes: object) -> None:
        path.write_bytes(b"half")
        raise OSError(code, "no space left")

    monkeypatch.setattr(Remote, "fetch", half)
    with pytest.raises(StepError, match=r"the disk of .*cache is full: make room and run again"):
        ingest(str(repository), "two", tmp_path / "out", tmp_path / "cache")
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "cache" / "partial").glob("*"))


def test_an_interrupted_download_goes_on_where_it_was(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = Remote.fetch
    fetched: list[str] = []

    def breaks_after_three(self: Remote, name: str, path: Path, on_bytes: Callable[[int], None]) -> None:
        if len(fetched) >= 3:
            path.write_bytes(b"half")
            raise ConnectionResetError("connection reset by peer")
        fetch(self, name, path, on_bytes)
        fetched.append(name)

    monkeypatch.setattr(objects, "PARALLEL", 1)
    monkeypatch.setattr(Remote, "fetch", breaks_after_three)
    with pytest.raises(StepError, match=r"can't be fetched from store \(connection reset by peer\), tried 2 times"):
        ingest(str(repository), "two", tmp_path / "out", tmp_path / "cache", patience=IMPATIENT)
    assert not (tmp_path / "out").exists()

    before = list(fetched)
    fetched.clear()

    def counts(self: Remote, name: str, path: Path, on_bytes: Callable[[int], None]) -> None:
        fetched.append(name)
        fetch(self, name, path, on_bytes)

    monkeypatch.setattr(Remote, "fetch", counts)
    ingest(str(repository), "two", tmp_path / "out", tmp_path / "cache")
    assert len(before) == 3
    assert not set(before) & set(fetched)
    assert len(fetched) == 4


def test_a_short_break_is_waited_out(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch = Remote.fetch
    failed: list[str] = []

    def fails_once(self: Remote, name: str, path: Path, on_bytes: Callable[[int], None]) -> None:
        if name not in failed:
            failed.append(name)
            raise ConnectionResetError("connection reset by peer")
        fetch(self, name, path, on_bytes)

    monkeypatch.setattr(Remote, "fetch", fails_once)
    ingest(str(repository), "two", tmp_path / "out", tmp_path / "cache", patience=IMPATIENT)
    assert len(failed) == 7
