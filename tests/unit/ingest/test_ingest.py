"""Exactly one revision, whole or not at all; each accident is one clear error."""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from components.dataset.images import ImageFolder
from components.dataset.sample import SampleSpec, write_sample
from components.errors import StepError
from components.ingest import objects, staging
from components.ingest.manifest import ListedFile, manifest_md5, md5_file
from components.ingest.step import contract_files, ingest, ingest_folder
from components.storage import versioning
from components.storage.files import read_json
from components.storage.versioning import Remote
from tests.unit.ingest.conftest import IMPATIENT, git

ROWS = {"one": 80, "two": 120, "main": 120}


def _train_rows(out: Path) -> int:
    return int(pq.ParquetFile(out / "train.parquet").metadata.num_rows)


def _object(root: Path, name: str = "train.parquet") -> Path:
    """The remote's object of a file of revision two."""
    md5 = md5_file(root / "data" / name)
    return root / "store" / "files" / "md5" / md5[:2] / md5[2:]


@pytest.mark.parametrize("revision", ["one", "two", "main", "HEAD", "commit", "short commit", "HEAD~1"])
def test_a_tag_branch_or_commit_gives_exactly_its_data(repository: Path, tmp_path: Path, revision: str) -> None:
    first = git(repository, "rev-parse", "one")
    asked = {"commit": first, "short commit": first[:8]}.get(revision, revision)
    lineage = ingest(str(repository), asked, tmp_path / "out", tmp_path / "cache")
    expected = ROWS.get(revision, 120 if revision == "HEAD" else 80)
    assert _train_rows(tmp_path / "out") == expected
    assert lineage.data_commit == git(repository, "rev-parse", f"{asked}^{{commit}}")


def test_the_lineage_names_every_file(repository: Path, tmp_path: Path) -> None:
    lineage = ingest(str(repository), "two", tmp_path / "out", tmp_path / "cache")
    written = read_json(tmp_path / "out" / "lineage.json")
    assert written["data_md5"] == lineage.data_md5
    assert f"md5: {lineage.data_md5}" in (repository / "data.dvc").read_text()
    assert written["files"] == {
        path.name: {"md5": md5_file(path), "size": path.stat().st_size} for path in (repository / "data").iterdir()
    }
    assert written["size"] == sum(path.stat().st_size for path in (repository / "data").iterdir())
    assert written["remote"] == "store"
    assert written["revision"] == "two"
    assert len(written["code_commit"]) == 40
    assert len(written["lock_sha256"]) == 64
    assert lineage.tags()["mmctr.data_md5"] == lineage.data_md5


def test_in_an_image_the_lineage_names_its_digest(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMCTR_CODE_VERSION", "registry/mmctr-cpu@sha256:abc")
    lineage = ingest(str(repository), "two", tmp_path / "out", tmp_path / "cache")
    assert lineage.image == "registry/mmctr-cpu@sha256:abc"
    assert lineage.tags()["mmctr.image"] == lineage.image


def test_a_clone_by_url_reads_the_remote_inside_the_repository(repository: Path, tmp_path: Path) -> None:
    url, cache = f"file://{repository}", tmp_path / "cache"
    ingest(url, "one", tmp_path / "a", cache)
    assert _train_rows(tmp_path / "a") == 80
    git(repository, "tag", "three", "two")  # later work arrives in the clone
    ingest(url, "three", tmp_path / "b", cache)
    assert _train_rows(tmp_path / "b") == 120
    assert ingest(url, "HEAD", tmp_path / "c", cache).data_commit == git(repository, "rev-parse", "HEAD")


def test_an_old_revision_is_whole_though_the_checkout_dropped_its_objects(repository: Path, tmp_path: Path) -> None:
    shutil.rmtree(repository / "store")
    ingest(str(repository), "one", tmp_path / "out", tmp_path / "cache")
    assert _train_rows(tmp_path / "out") == 80


def test_runs_share_the_cache(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(str(repository), "two", tmp_path / "a", tmp_path / "cache")

    def nothing_left_to_fetch(*_: object) -> None:
        raise AssertionError("fetched again")

    monkeypatch.setattr(Remote, "fetch", nothing_left_to_fetch)
    ingest(str(repository), "two", tmp_path / "b", tmp_path / "cache")
    assert _train_rows(tmp_path / "b") == 120


def test_a_cached_object_that_changed_is_fetched_again(repository: Path, tmp_path: Path) -> None:
    ingest(str(repository), "two", tmp_path / "a", tmp_path / "cache")
    shutil.rmtree(tmp_path / "a")
    cached = objects.ObjectCache(tmp_path / "cache").path(md5_file(repository / "data" / "train.parquet"))
    cached.chmod(0o644)
    cached.write_bytes(b"scribbled over")
    ingest(str(repository), "two", tmp_path / "b", tmp_path / "cache")
    assert _train_rows(tmp_path / "b") == 120


def test_an_earlier_dataset_in_the_output_is_replaced_and_strange_files_are_not(
    repository: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    ingest(str(repository), "one", out, tmp_path / "cache")
    ingest(str(repository), "two", out, tmp_path / "cache")
    assert _train_rows(out) == 120
    (out / "lineage.json").unlink()
    with pytest.raises(StepError, match="holds files that are no dataset of ours"):
        ingest(str(repository), "one", out, tmp_path / "cache")


def test_a_missing_data_folder_is_no_reason_to_stop(repository: Path, tmp_path: Path) -> None:
    shutil.rmtree(repository / "data")
    ingest(str(repository), "HEAD", tmp_path / "out", tmp_path / "cache")
    assert _train_rows(tmp_path / "out") == 120


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
    _object(root).unlink()
    git(root, "commit", "-qam", "lost")


def _spoil_object(root: Path) -> None:
    _object(root).chmod(0o644)
    _object(root).write_bytes(b"not what it was")
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


def test_linking_falls_back_to_copying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def across_devices(*_: object) -> None:
        raise OSError(errno.EXDEV, "cross-device link")

    monkeypatch.setattr("os.link", across_devices)
    (tmp_path / "a").write_bytes(b"content")
    staging.link(tmp_path / "a", tmp_path / "folder" / "b")
    assert (tmp_path / "folder" / "b").read_bytes() == b"content"


def test_a_folder_as_it_is_has_the_md5_that_dvc_gives_it(repository: Path, tmp_path: Path) -> None:
    lineage = ingest_folder(repository / "data", tmp_path / "out")
    assert f"md5: {lineage.data_md5}" in (repository / "data.dvc").read_text()
    assert lineage.data_commit is None
    assert _train_rows(tmp_path / "out") == 120


def test_a_folder_with_loose_images_and_things_of_no_concern(repository: Path, tmp_path: Path) -> None:
    folder = repository / "data"
    (folder / "item_images").mkdir()
    for item in (1, 2):
        (folder / "item_images" / f"{item}.jpg").write_bytes(b"jpg")
    (folder / "notes.txt").write_text("not ours")
    for name in ("train", "valid", "test"):
        inner = folder / "MicroLens_1M_x1"
        inner.mkdir(exist_ok=True)
        (folder / f"{name}.parquet").rename(inner / f"{name}.parquet")
    lineage = ingest_folder(folder, tmp_path / "out")
    assert lineage.files["item_images/"] == {"files": 2, "size": 6}
    entries = [ListedFile(name, md5_file(path)) for name, path in contract_files(folder)]
    assert lineage.data_md5 == f"{manifest_md5(entries)}.dir"
    assert sorted(p.name for p in (tmp_path / "out" / "item_images").iterdir()) == ["item_images-packed-00000.tar"]
    assert ImageFolder(tmp_path / "out").read(2) == b"jpg"  # and not the picture of the shard that the folder has too
    assert sorted(p.name for p in (folder / "item_images").iterdir()) == ["1.jpg", "2.jpg"]
    assert _train_rows(tmp_path / "out") == 120
    assert not (tmp_path / "out" / "notes.txt").exists()


def test_loose_images_of_a_revision_are_packed_and_its_name_stays(repository: Path, tmp_path: Path) -> None:
    """The cache keeps the files as they are: the next revision shares them."""
    (repository / "data" / "item_images").mkdir()
    for item in (1, 2):
        (repository / "data" / "item_images" / f"{item}.jpg").write_bytes(b"jpg %d" % item)
    versioning.add(repository, repository / "data")
    versioning.push(repository, repository / "data.dvc")
    git(repository, "commit", "-qam", "loose images")
    for out in ("first", "second"):
        lineage = ingest(str(repository), "HEAD", tmp_path / out, tmp_path / "cache")
        assert f"md5: {lineage.data_md5}" in (repository / "data.dvc").read_text()
        assert lineage.files["item_images/"] == {"files": 2, "size": 10}
        assert [p.name for p in (tmp_path / out / "item_images").iterdir()] == ["item_images-packed-00000.tar"]
        assert ImageFolder(tmp_path / out).read(2) == b"jpg 2"


def test_a_folder_that_lacks_a_file_is_named(repository: Path, tmp_path: Path) -> None:
    (repository / "data" / "valid.parquet").unlink()
    with pytest.raises(StepError, match=r"data lacks valid\.parquet: a dataset is"):
        ingest_folder(repository / "data", tmp_path / "out")
    with pytest.raises(StepError, match="is not a folder"):
        ingest_folder(tmp_path / "absent", tmp_path / "out")


def test_a_file_overwritten_in_place_during_a_run_changes_nothing_for_it(repository: Path, tmp_path: Path) -> None:
    lineage = ingest_folder(repository / "data", tmp_path / "taken")
    before = (tmp_path / "taken" / "train.parquet").read_bytes()
    path = repository / "data" / "train.parquet"
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"another night's clicks")
    assert (tmp_path / "taken" / "train.parquet").read_bytes() == before
    assert lineage.files["train.parquet"]["md5"] == hashlib.md5(before, usedforsecurity=False).hexdigest()
