"""`--data`: a folder is taken as it is, without git and DVC."""

import errno
import hashlib
from pathlib import Path

import pytest

from components.dataset.images import ImageFolder
from components.errors import StepError
from components.ingest import staging
from components.ingest.manifest import ListedFile, manifest_md5, md5_file
from components.ingest.step import contract_files, ingest_folder
from tests.unit.ingest.conftest import train_rows


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
    assert train_rows(tmp_path / "out") == 120


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
    assert train_rows(tmp_path / "out") == 120
    assert not (tmp_path / "out" / "notes.txt").exists()


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
