"""A revision gives exactly its data, whatever lies in the checkout, in the cache and in the output folder."""

import shutil
from pathlib import Path

import pytest

from components.dataset.images import ImageFolder
from components.errors import StepError
from components.ingest import objects
from components.ingest.manifest import md5_file
from components.ingest.step import ingest
from components.storage import versioning
from components.storage.files import read_json
from components.storage.versioning import Remote
from tests.unit.ingest.conftest import git, train_rows

ROWS = {"one": 80, "two": 120, "main": 120}


@pytest.mark.parametrize("revision", ["one", "two", "main", "HEAD", "commit", "short commit", "HEAD~1"])
def test_a_tag_branch_or_commit_gives_exactly_its_data(repository: Path, tmp_path: Path, revision: str) -> None:
    first = git(repository, "rev-parse", "one")
    asked = {"commit": first, "short commit": first[:8]}.get(revision, revision)
    lineage = ingest(str(repository), asked, tmp_path / "out", tmp_path / "cache")
    expected = ROWS.get(revision, 120 if revision == "HEAD" else 80)
    assert train_rows(tmp_path / "out") == expected
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
    assert train_rows(tmp_path / "a") == 80
    git(repository, "tag", "three", "two")  # later work arrives in the clone
    ingest(url, "three", tmp_path / "b", cache)
    assert train_rows(tmp_path / "b") == 120
    assert ingest(url, "HEAD", tmp_path / "c", cache).data_commit == git(repository, "rev-parse", "HEAD")


def test_an_old_revision_is_whole_though_the_checkout_dropped_its_objects(repository: Path, tmp_path: Path) -> None:
    shutil.rmtree(repository / "store")
    ingest(str(repository), "one", tmp_path / "out", tmp_path / "cache")
    assert train_rows(tmp_path / "out") == 80


def test_runs_share_the_cache(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(str(repository), "two", tmp_path / "a", tmp_path / "cache")

    def nothing_left_to_fetch(*_: object) -> None:
        raise AssertionError("fetched again")

    monkeypatch.setattr(Remote, "fetch", nothing_left_to_fetch)
    ingest(str(repository), "two", tmp_path / "b", tmp_path / "cache")
    assert train_rows(tmp_path / "b") == 120


def test_a_cached_object_that_changed_is_fetched_again(repository: Path, tmp_path: Path) -> None:
    ingest(str(repository), "two", tmp_path / "a", tmp_path / "cache")
    shutil.rmtree(tmp_path / "a")
    cached = objects.ObjectCache(tmp_path / "cache").path(md5_file(repository / "data" / "train.parquet"))
    cached.chmod(0o644)
    cached.write_bytes(b"scribbled over")
    ingest(str(repository), "two", tmp_path / "b", tmp_path / "cache")
    assert train_rows(tmp_path / "b") == 120


def test_an_earlier_dataset_in_the_output_is_replaced_and_strange_files_are_not(
    repository: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    ingest(str(repository), "one", out, tmp_path / "cache")
    ingest(str(repository), "two", out, tmp_path / "cache")
    assert train_rows(out) == 120
    (out / "lineage.json").unlink()
    with pytest.raises(StepError, match="holds files that are no dataset of ours"):
        ingest(str(repository), "one", out, tmp_path / "cache")


def test_a_missing_data_folder_is_no_reason_to_stop(repository: Path, tmp_path: Path) -> None:
    shutil.rmtree(repository / "data")
    ingest(str(repository), "HEAD", tmp_path / "out", tmp_path / "cache")
    assert train_rows(tmp_path / "out") == 120


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
