"""Packs a dataset's images into few big files and keeps those in the workspace, each once by its content.

Kubeflow Pipelines copies every file of every input of a step, one request after the other (2.17.0:
backend/src/v2/objectstore/object_store.go, DownloadBlob), and stores what a step hands on again each night. So ingest
packs loose images into shards, and hands on a list of them; the steps that look at images find them in the workspace.
"""

import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
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
    first = len(list(item_images_path(dataset).glob(PACKED.format("*"))))
    with progress("pack images", len(loose), "images") as bar:
        for number, batch in enumerate(_batches(loose, shard_bytes), first):
            shard = item_images_path(dataset) / PACKED.format(f"{number:05d}")
            with tarfile.open(shard, "x", format=tarfile.USTAR_FORMAT) as tar:
                for path in batch:
                    content = path.read_bytes()
                    member = tarfile.TarInfo(path.name)  # of user 0, mode 0644, changed in 1970
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
                    path.unlink()
                    bar.advance()


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


def _batches(paths: list[Path], limit: int) -> Iterator[list[Path]]:
    batch: list[Path] = []
    size = 0
    for path in paths:
        batch.append(path)
        size += path.stat().st_size
        if size >= limit:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
