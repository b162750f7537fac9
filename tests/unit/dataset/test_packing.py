"""Loose images are packed into a few big files, which only the steps that read images receive."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from components.dataset.images import ImageFolder, image_files
from components.dataset.packing import pack_loose_images, take_images_apart, with_images
from components.errors import StepError
from components.storage.files import read_json


def _folder(path: Path, images: int, seconds: int = 0) -> Path:
    (path / "item_images").mkdir(parents=True)
    for item in range(1, images + 1):
        file = path / "item_images" / f"{item}.jpg"
        file.write_bytes(f"picture {item}".encode() * item)
        os.utime(file, (seconds, seconds))
    return path


def _bytes(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.md5(p.read_bytes()).hexdigest() for p in folder.rglob("*.tar")}


def test_every_image_is_as_it_was_and_the_shards_keep_to_their_size(tmp_path: Path) -> None:
    folder = _folder(tmp_path, 50)
    loose = ImageFolder(folder)
    before = {item: loose.read(item) for item in loose.ids()}
    pack_loose_images(folder, shard_bytes=4_000)
    packed = ImageFolder(folder)
    assert {item: packed.read(item) for item in packed.ids()} == before
    assert len(image_files(folder)) == 3  # 14 kB, and a shard is closed by the image that reaches 4 kB
    assert all(path.suffix == ".tar" for path in image_files(folder))


def test_the_same_images_make_the_same_bytes(tmp_path: Path) -> None:
    one, two = _folder(tmp_path / "one", 30), _folder(tmp_path / "two", 30, seconds=1_000_000_000)
    for folder in (one, two):
        (folder / "item_images" / "1.jpg").chmod(0o600 if folder == one else 0o644)
        pack_loose_images(folder, shard_bytes=4_000)
    assert _bytes(one) == _bytes(two) != {}


def test_a_mended_image_still_wins_over_the_shards_that_were_there(tmp_path: Path) -> None:
    """Also when it is packed after other images were, and when two files claim one item."""
    folder = _folder(tmp_path, 3)
    pack_loose_images(folder)
    (folder / "item_images" / "item_images-packed-00000.tar").rename(folder / "item_images" / "item_images-z.tar")
    for name, content in (("2.jpg", b"mended"), ("3.jpg", b"jpg"), ("3.png", b"png")):
        (folder / "item_images" / name).write_bytes(content)
    pack_loose_images(folder)
    (folder / "item_images" / "1.jpg").write_bytes(b"mended last")
    pack_loose_images(folder)
    images = ImageFolder(folder)
    assert [images.read(item) for item in (1, 2, 3)] == [b"mended last", b"mended", b"png"]
    assert not list((folder / "item_images").glob("*.[jp][pn]g"))


def test_without_loose_images_nothing_changes(tmp_path: Path) -> None:
    pack_loose_images(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_taken_apart_and_together_again(tmp_path: Path) -> None:
    dataset, images, store = _folder(tmp_path / "dataset", 3), tmp_path / "images", tmp_path / "store"
    pack_loose_images(dataset)
    packed = (dataset / "item_images" / "item_images-packed-00000.tar").read_bytes()
    (dataset / "item_images-00000.tar").write_bytes(packed)
    (dataset / "train.parquet").write_bytes(b"rows")
    take_images_apart(dataset, images, store)
    assert [path.name for path in dataset.iterdir()] == ["train.parquet"]
    assert [path.name for path in images.iterdir()] == ["images.json"]
    key = hashlib.sha256(packed).hexdigest()
    assert read_json(images / "images.json")["files"] == {
        "item_images-00000.tar": key,
        "item_images/item_images-packed-00000.tar": key,
    }
    assert [path.name for path in store.iterdir() if not path.name.startswith(".")] == [key], "the same bytes once"
    with with_images(dataset, images, store) as whole:
        assert ImageFolder(whole).ids() == [1, 2, 3]
        assert (whole / "train.parquet").read_bytes() == b"rows"
    assert not whole.exists()
    assert (store / key / "shard.tar").read_bytes() == packed


def test_a_night_with_few_new_images_keeps_few_new_bytes(tmp_path: Path) -> None:
    """Nothing is stored again that was there the night before."""
    store, sizes = tmp_path / "store", []
    for night, count in enumerate((9, 9, 10)):
        dataset = _folder(tmp_path / f"dataset-{night}", count)
        pack_loose_images(dataset, shard_bytes=1)  # an image in each
        take_images_apart(dataset, tmp_path / f"images-{night}", store)
        sizes.append(len([path for path in store.iterdir() if not path.name.startswith(".")]))
    assert sizes == [9, 9, 10]


@pytest.mark.parametrize("harm", ["removed", "changed"])
def test_an_image_that_is_not_as_ingest_kept_it_is_named_and_kept_anew(tmp_path: Path, harm: str) -> None:
    store, images = tmp_path / "store", tmp_path / "images"

    def ingest() -> Path:
        dataset = _folder(tmp_path / "dataset", 3)
        pack_loose_images(dataset)
        take_images_apart(dataset, images, store)
        return dataset

    dataset = ingest()
    (shard,) = store.glob("*/shard.tar")
    if harm == "removed":
        shutil.rmtree(shard.parent)
    else:
        shard.write_bytes(b"\0" * shard.stat().st_size)
    with (
        pytest.raises(StepError, match=r"run the pipeline again; ingest puts the images there"),
        with_images(dataset, images, store),
    ):
        pass
    with with_images(ingest(), images, store) as whole:
        assert ImageFolder(whole).ids() == [1, 2, 3]


def test_a_dataset_without_images_has_an_artifact_of_images_too(tmp_path: Path) -> None:
    """Kubeflow has no empty folders."""
    (tmp_path / "dataset").mkdir()
    take_images_apart(tmp_path / "dataset", tmp_path / "images", tmp_path / "store")
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["images.json"]
    assert read_json(tmp_path / "images" / "images.json") == {"files": {}}
