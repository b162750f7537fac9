"""One reader for loose images and for shards."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from components.dataset.images import ImageFolder, image_files
from components.errors import StepError


def _shard(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def test_loose_files_and_shards_read_alike(tmp_path: Path) -> None:
    _shard(tmp_path / "item_images-00000.tar", {"1.jpg": b"one", "./2.PNG": b"two", "readme.txt": b"no"})
    _shard(tmp_path / "item_images" / "item_images-00001.tar", {"sub/3.jpeg": b"three"})
    (tmp_path / "item_images" / "4.png").write_bytes(b"four")
    (tmp_path / "item_images" / "2.jpg").write_bytes(b"mended")
    (tmp_path / "item_images" / "cover.jpg").write_bytes(b"no id")
    images = ImageFolder(tmp_path)
    assert images.ids() == [1, 2, 3, 4]
    assert len(images) == 4
    assert 5 not in images
    assert {item: images.read(item) for item in images.ids()} == {1: b"one", 2: b"mended", 3: b"three", 4: b"four"}
    assert [p.name for p in image_files(tmp_path)] == [
        "item_images-00000.tar",
        "item_images-00001.tar",
        "2.jpg",
        "4.png",
    ]


def test_no_images_is_no_error(tmp_path: Path) -> None:
    assert ImageFolder(tmp_path).ids() == []
    with pytest.raises(KeyError):
        ImageFolder(tmp_path).read(1)


@pytest.mark.parametrize("keep", [0, 100, 700, 5_000], ids=lambda k: f"first-{k}-bytes")
def test_a_cut_off_shard_is_named(tmp_path: Path, keep: int) -> None:
    shard = tmp_path / "item_images-00000.tar"
    _shard(shard, {"1.jpg": b"x" * 3_000, "2.jpg": b"y" * 3_000})
    shard.write_bytes(shard.read_bytes()[:keep])
    with pytest.raises(StepError, match=r"item_images-00000\.tar"):
        ImageFolder(tmp_path)


def test_a_named_pipe_is_not_read_as_an_image(tmp_path: Path) -> None:
    """Reading one would wait for ever for somebody who writes into it."""
    (tmp_path / "item_images").mkdir()
    os.mkfifo(tmp_path / "item_images" / "7.jpg")
    assert ImageFolder(tmp_path).ids() == []
    assert image_files(tmp_path) == []
