"""The bare clone of a repository that is given as a URL: whatever happens to its files, ingest reads the right data."""

import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from components.errors import StepError
from components.ingest import mirror as mirror_module
from components.ingest.mirror import mirror
from components.ingest.revision import Revision, resolve
from tests.unit.ingest.conftest import git


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def found(repository: Path, cache: Path, revision: str = "two") -> Revision:
    return resolve(f"file://{repository}", revision, cache)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.chmod(0o644)
    path.write_bytes(content)


def _write(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def _object(clone: Path, name: str) -> Path:
    oid = git(clone, "rev-parse", name)
    return clone / "objects" / oid[:2] / oid[2:]


def _swap(clone: Path) -> None:
    """Two whole objects, each under the name of the other: git reads such a blob without a word."""
    one, two = _object(clone, "one:data.dvc"), _object(clone, "two:data.dvc")
    ones, twos = one.read_bytes(), two.read_bytes()
    _write(one, twos)
    _write(two, ones)


def _pack(clone: Path, suffix: str) -> Path:
    return next((clone / "objects" / "pack").glob(f"*.{suffix}"))


LOOSE: dict[str, Callable[[Path], object]] = {
    "a blob with a flipped bit": lambda c: _flip(_object(c, "two:data.dvc")),
    "a blob emptied": lambda c: _write(_object(c, "two:data.dvc"), b""),
    "a blob cut": lambda c: _write(_object(c, "two:data.dvc"), _object(c, "two:data.dvc").read_bytes()[:20]),
    "a blob deleted": lambda c: _object(c, "two:data.dvc").unlink(),
    "two blobs swapped": _swap,
    "a tree deleted": lambda c: _object(c, "two^{tree}").unlink(),
    "a commit emptied": lambda c: _write(_object(c, "two^{commit}"), b""),
    "a commit of an older revision deleted": lambda c: _object(c, "one^{commit}").unlink(),
    "HEAD deleted": lambda c: (c / "HEAD").unlink(),
    "HEAD emptied": lambda c: _write(c / "HEAD", b""),
    "HEAD with a flipped bit": lambda c: _flip(c / "HEAD"),
    "config cut": lambda c: _write(c / "config", (c / "config").read_bytes()[:9]),
    "config of another format": lambda c: _write(c / "config", b"[core]\n\trepositoryformatversion = 9\n"),
    "a tag emptied": lambda c: _write(c / "refs" / "tags" / "two", b""),
    "a tag of nonsense": lambda c: _write(c / "refs" / "tags" / "two", b"nonsense\n"),
    "a tag that names nothing": lambda c: _write(c / "refs" / "tags" / "two", b"4" * 40 + b"\n"),
    "a tag on another commit": lambda c: _write(
        c / "refs" / "tags" / "two", (c / "refs" / "tags" / "one").read_bytes()
    ),
    "a tag deleted": lambda c: (c / "refs" / "tags" / "two").unlink(),
    "a branch of nonsense added": lambda c: (c / "refs" / "heads" / "extra").write_bytes(b"nonsense"),
    "all objects deleted": lambda c: shutil.rmtree(c / "objects"),
    "all refs deleted": lambda c: shutil.rmtree(c / "refs"),
    "every file deleted": lambda c: (shutil.rmtree(c), c.mkdir()),  # type: ignore[func-returns-value]
    "a file in its place": lambda c: (shutil.rmtree(c), c.write_text("")),  # type: ignore[func-returns-value]
}
PACKED: dict[str, Callable[[Path], object]] = {
    "a pack with a flipped bit": lambda c: _flip(_pack(c, "pack")),
    "a pack cut": lambda c: _write(_pack(c, "pack"), _pack(c, "pack").read_bytes()[:-40]),
    "a pack deleted": lambda c: _pack(c, "pack").unlink(),
    "an index with a flipped bit": lambda c: _flip(_pack(c, "idx")),
    "an index emptied": lambda c: _write(_pack(c, "idx"), b""),
    "an index deleted": lambda c: _pack(c, "idx").unlink(),
    "packed-refs cut": lambda c: _write(c / "packed-refs", (c / "packed-refs").read_bytes()[:-70]),
    "packed-refs of nonsense": lambda c: _write(c / "packed-refs", b"nonsense\n"),
    "packed-refs deleted": lambda c: (c / "packed-refs").unlink(),
}
MENDED_BY_THE_FETCH = (
    "a tag on another commit",
    "a tag deleted",
    "packed-refs deleted",
    "packed-refs cut",
    "HEAD with a flipped bit",
    "config cut",
)


@pytest.mark.parametrize("damage", [*LOOSE, *PACKED])
def test_a_damaged_clone_is_made_again(
    repository: Path, cache: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = found(repository, cache)
    if damage in PACKED:
        git(before.git, "gc", "--quiet")
        assert found(repository, cache).data_md5 == before.data_md5
    {**LOOSE, **PACKED}[damage](before.git)
    again = found(repository, cache)
    assert (again.commit, again.data_md5) == (before.commit, before.data_md5)
    assert found(repository, cache, "HEAD").commit == before.commit
    assert found(repository, cache, "one").data_md5 != before.data_md5
    aside = list(before.git.parent.glob("*.damaged-*"))
    if damage in MENDED_BY_THE_FETCH and not aside:
        return
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message.startswith(f"{before.git} is damaged (")
    assert f"renamed to {aside[0].name}, and will be made again" in record.message


def test_git_never_uses_the_repository_above_a_damaged_clone(repository: Path) -> None:
    """The workspace lies in a user's checkout, and git takes the repository around a folder that is none."""
    git(repository, "branch", "precious")
    cache = repository / ".mmctr" / "cache"
    other = shutil.copytree(repository, repository.with_name("other"))
    git(other, "branch", "-D", "precious")
    clone = found(other, cache).git
    (clone / "HEAD").unlink()
    found(other, cache)
    assert git(repository, "rev-parse", "precious")


def test_an_intact_clone_is_checked_once_a_day(repository: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(mirror_module, "_fsck", asked.append)
    clone = mirror(f"file://{repository}", cache)
    mirror(f"file://{repository}", cache)
    assert asked == [], "git has checked what it received just now"
    os.utime(clone / "packed-refs" if (clone / "packed-refs").exists() else clone / "HEAD")
    mirror(f"file://{repository}", cache)
    assert asked == [clone]
    mirror(f"file://{repository}", cache)
    assert asked == [clone]


def test_an_oddly_written_commit_is_no_damage(repository: Path, cache: Path) -> None:
    """`git fsck` fails on it as it does on damage; cloning again would not help."""
    tree = git(repository, "rev-parse", "HEAD^{tree}")
    odd = repository / "odd"
    odd.write_text(f"tree {tree}\nauthor A <a@example.com 1 +0000\ncommitter A <a@example.com> 1 +0000\n\nodd\n")
    commit = git(repository, "hash-object", "-t", "commit", "-w", "--literally", str(odd))
    git(repository, "tag", "odd", commit)
    clone = found(repository, cache, "odd").git
    (clone / "HEAD").touch()
    assert found(repository, cache, "odd").commit == commit
    assert list(clone.parent.glob("*.damaged-*")) == []


def test_a_new_default_branch_is_noticed(repository: Path, cache: Path) -> None:
    found(repository, cache, "HEAD")
    git(repository, "checkout", "-q", "-b", "next", "one")
    assert found(repository, cache, "HEAD").commit == git(repository, "rev-parse", "one")


def test_a_repository_that_is_gone_is_one_clear_error(repository: Path, cache: Path) -> None:
    clone = found(repository, cache).git
    shutil.rmtree(repository)
    with pytest.raises(StepError, match=re.escape(f"file://{repository} can't be cloned")):
        found(repository, cache)
    assert clone.is_dir(), "an intact clone is not moved aside because the network is away"
