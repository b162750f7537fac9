"""Packs a dataset's images into few big files and keeps those in the workspace, each once by its content.

Kubeflow Pipelines copies every file of every input of a step, one request after the other (2.17.0:
backend/src/v2/objectstore/object_store.go, DownloadBlob), and stores what a step hands on again each night. So ingest
packs loose images into shards, and hands on a list of them; the steps that look at images find them in the workspace.
"""

import io
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from components.dataset.images import PACKED, loose_images, shards
from components.dataset.layout import item_images_path
from components.process.progress import progress
from components.storage.files import link_or_copy, read_json, sha256_file, write_json
from components.storage.verified import CHECKED, DIGESTS, made_once, require

SHARD_BYTES = 256 * 2**20  # a shard is closed by the image that reaches this
CONTENTS = "images.json"  # the artifact: which shards the dataset has
SHARD = "shard.tar"  # in an entry of the store, which is named by the shard's hash


def pack_loose_images(dataset: Path, shard_bytes: int = SHARD_BYTES) -> None:
    """Replaces the loose images of a folder by shards. The same images always make shards of the same bytes."""
    loose = loose_images(dataset)
    folder = item_images_path(dataset)
    first = len(list(folder.glob(PACKED.format("*"))))
    with progress("pack images", len(loose), "images") as bar:

        def read() -> Iterator[tuple[str, bytes]]:
            for path in loose:
                yield path.name, path.read_bytes()
                path.unlink()
                bar.advance()

        write_shards(read(), lambda number: folder / PACKED.format(f"{first + number:05d}"), shard_bytes)


def write_shards(
    images: Iterable[tuple[str, bytes]], shard: Callable[[int], Path], shard_bytes: int = SHARD_BYTES
) -> None:
    """Named images as few archives. `shard` names the archive of a number, from 0 on."""
    number, size, tar = -1, shard_bytes, None
    try:
        for name, content in images:
            if size >= shard_bytes:
                if tar is not None:
                    tar.close()
                number, size = number + 1, 0
                tar = tarfile.open(shard(number), "x", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
            assert tar is not None
            member = tarfile.TarInfo(name)  # of user 0, mode 0644, changed in 1970
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
            size += len(content)
    finally:
        if tar is not None:
            tar.close()


def image_store(workspace: str) -> Path:
    return Path(workspace) / "cache" / "images"


def take_images_apart(dataset: Path, images: Path, store: Path) -> None:
    """Moves all images from the dataset's folder into `store`, and lists them in the folder `images`."""
    files = [file for file in (*shards(dataset), *loose_images(dataset)) if file.is_file()]
    with progress("keep images", len(files), "files") as bar:
        listed = {}
        for file in files:
            key = listed[file.relative_to(dataset).as_posix()] = sha256_file(file)
            made_once(store / key, partial(_put, file))
            file.unlink()
            bar.advance()
    shutil.rmtree(item_images_path(dataset), ignore_errors=True)  # what is left there is no image
    images.mkdir(parents=True, exist_ok=True)
    write_json(images / CONTENTS, {"files": listed})


def _put(file: Path, entry: Path) -> None:
    link_or_copy(file, entry / SHARD)


@contextmanager
def with_images(dataset: Path, images: Path, store: Path) -> Iterator[Path]:
    """One folder in the layout of the data contract: links to the dataset's files and to its images. Neither folder is
    changed.
    """
    with tempfile.TemporaryDirectory(prefix="mmctr-dataset-") as name:
        for path in dataset.iterdir():
            if path.name not in (DIGESTS, CHECKED):
                Path(name, path.name).symlink_to(path.resolve())
        for file, key in read_json(images / CONTENTS)["files"].items():
            require(store / key, "run the pipeline again; ingest puts the images there")
            link = Path(name, file)
            link.parent.mkdir(exist_ok=True)
            link.symlink_to((store / key / SHARD).resolve())
        yield Path(name)
