"""What can be wrong with a repository, its data.dvc or its remote: one clear error each, and nothing is left behind."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from components.dataset.sample import SampleSpec, write_sample
from components.errors import StepError
from components.ingest.manifest import md5_file
from components.ingest.step import ingest
from tests.unit.ingest.conftest import IMPATIENT, git, remote_object


def _pull_one_and_move_on(root: Path) -> None:
    """`data/` was pulled at revision one; then git came to revision two, and nobody pulled again."""
    shutil.rmtree(root / "data")
    write_sample(root / "data", SampleSpec(items=40, train_rows=80, valid_rows=40, test_rows=40))


def _append(root: Path) -> None:
    with (root / "data" / "train.parquet").open("ab") as file:
        file.write(b"!")


def _change_pointer(root: Path) -> None:
    text = (root / "data.dvc").read_text()
    (root / "data.dvc").write_text(text.replace("nfiles: 6", "nfiles: 7"))


def _commit_pointer(text: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / "data.dvc").write_text(text)
        git(root, "commit", "-qam", "broken")

    return change


def _commit_config(text: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / ".dvc" / "config").write_text(text)
        git(root, "commit", "-qam", "broken")

    return change


def _no_pointer(root: Path) -> None:
    git(root, "rm", "-q", "data.dvc")
    git(root, "commit", "-qm", "gone")


def _lose_object(root: Path) -> None:
    remote_object(root).unlink()
    git(root, "commit", "-qam", "lost")


def _spoil_object(root: Path) -> None:
    remote_object(root).chmod(0o644)
    remote_object(root).write_bytes(b"not what it was")
    git(root, "commit", "-qam", "spoilt")


OUT = "outs:\n- md5: {}\n  size: 1\n  nfiles: 1\n  hash: md5\n  path: {}\n"


@pytest.mark.parametrize(
    ("accident", "revision", "message"),
    [
        pytest.param(_append, "HEAD", r"is not what data\.dvc names: train\.parquet is changed\. Keep", id="tampered"),
        pytest.param(
            lambda root: (root / "data" / "notes.txt").write_text("x"), "HEAD", r"notes\.txt is new", id="file-added"
        ),
        pytest.param(
            lambda root: (root / "data" / "truth.json").unlink(), "HEAD", r"truth\.json is gone", id="file-removed"
        ),
        pytest.param(_pull_one_and_move_on, "HEAD", r"is that of an earlier revision, \w+: bring it up", id="stale"),
        pytest.param(
            _change_pointer,
            "HEAD",
            r"data\.dvc is not committed: keep it with git add data\.dvc and git commit, or undo it with git check",
            id="dirty",
        ),
        pytest.param(lambda _: None, "nowhere", r"revision 'nowhere' is not in .*: push or fetch it", id="unknown"),
        pytest.param(lambda _: None, "--all", r"revision '--all' is not in", id="an-option"),
        pytest.param(lambda _: None, "", r"revision is empty", id="empty"),
        pytest.param(_no_pointer, "main", r"has no data\.dvc: mmctr data add data", id="no-pointer"),
        pytest.param(_commit_pointer("outs: ["), "main", r"is not what `dvc add data` writes", id="pointer-not-yaml"),
        pytest.param(_commit_pointer("outs: []\n"), "main", r"is not what `dvc add data` writes", id="pointer-empty"),
        pytest.param(
            _commit_pointer(OUT.format("0" * 32 + ".dir", "other")), "main", r"must version the folder data/", id="path"
        ),
        pytest.param(
            _commit_pointer(OUT.format("0" * 32 + ".dir", "data").replace("  hash: md5\n", "")),
            "main",
            r"was written by DVC 2",
            id="dvc-2",
        ),
        pytest.param(
            _commit_pointer(OUT.format("0" * 32 + ".dir", "data")), "main", r"data/ \(md5 0+\.dir\) is not", id="list"
        ),
        pytest.param(_lose_object, "main", r"train\.parquet \(md5 .*\) is not in .*dvc push from where", id="missing"),
        pytest.param(_spoil_object, "main", r"train\.parquet in store .*is corrupt: its md5 is", id="corrupt"),
        pytest.param(_commit_config(""), "main", r"names no default remote: dvc remote add -d", id="no-remote"),
        pytest.param(
            _commit_config("[core]\n    remote = a\n['remote \"a\"']\n    url = gs://bucket/data\n"),
            "main",
            r"remote can't be read here: gs is supported, but requires 'dvc-gs' to be installed",
            id="remote-not-installed",
        ),
        pytest.param(_commit_config("[core"), "main", r"\.dvc/config can't be used", id="config-broken"),
        pytest.param(
            _commit_config("[core]\n    remote = other\n"), "main", r"\.dvc/config can't be used", id="remote-unknown"
        ),
    ],
)
def test_each_accident_is_one_clear_error_and_leaves_nothing(
    repository: Path, tmp_path: Path, accident: Callable[[Path], object], revision: str, message: str
) -> None:
    accident(repository)
    with pytest.raises(StepError, match=message) as raised:
        ingest(str(repository), revision, tmp_path / "out", tmp_path / "cache", patience=IMPATIENT)
    assert "\n" not in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["repository"]
    assert not list((tmp_path / "cache" / "partial").glob("*"))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        pytest.param("plain", "is not in a git repository", id="no-repository"),
        pytest.param("absent", "is no folder and no URL", id="no-folder"),
        pytest.param("file:///nowhere/at/all", "can't be cloned", id="no-such-url"),
    ],
)
def test_a_repository_that_is_none(tmp_path: Path, where: str, message: str) -> None:
    (tmp_path / "plain").mkdir()
    place = where if "://" in where else str(tmp_path / where)
    with pytest.raises(StepError, match=message):
        ingest(place, "HEAD", tmp_path / "out", tmp_path / "cache")


def test_a_secret_in_the_repositorys_url_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(StepError) as raised:
        ingest("https://me:hush@127.0.0.1:1/data.git", "HEAD", tmp_path / "out", tmp_path / "cache")
    assert "127.0.0.1:1/data.git can't be cloned" in str(raised.value)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("relpath", ["../outside", "/etc/passwd", "a/../../b", ""], ids=lambda text: text or "empty")
def test_a_manifest_cannot_write_outside(repository: Path, tmp_path: Path, relpath: str) -> None:
    listed = json.dumps([{"md5": md5_file(repository / "data" / "truth.json"), "relpath": relpath}]).encode()
    planted = tmp_path / "planted"
    planted.write_bytes(listed)
    md5 = md5_file(planted)
    target = repository / "store" / "files" / "md5" / md5[:2] / f"{md5[2:]}.dir"
    target.parent.mkdir(exist_ok=True)
    planted.rename(target)
    _commit_pointer(OUT.format(f"{md5}.dir", "data"))(repository)
    with pytest.raises(StepError, match="only files inside data/ are taken"):
        ingest(str(repository), "main", tmp_path / "out", tmp_path / "cache")
