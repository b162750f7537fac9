"""Packs a dataset's images into few big files, apart from its tables, for the transfer between steps.

Kubeflow Pipelines copies every file of every input of a step, one request after the other (2.17.0:
backend/src/v2/objectstore/object_store.go, DownloadBlob). So ingest packs loose images into shards and gives them an
artifact of their own, which only the steps that look at images read.
"""

import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.dataset.images import PACKED, loose_images, shards
from components.dataset.layout import item_images_path
from components.process.progress import progress
from components.storage.files import write_json
from components.storage.verified import CHECKED, DIGESTS

SHARD_BYTES = 256 * 2**20  # a shard is closed by the image that reaches this
CONTENTS = "images.json"  # so that the artifact of a dataset without images is not empty


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


def take_images_apart(dataset: Path, images: Path) -> None:
    """Moves all images from the dataset's folder to a folder of their own."""
    if images.is_dir():
        shutil.rmtree(images)  # of an earlier try
    images.mkdir(parents=True)
    found = [path for path in shards(dataset) if path.parent == dataset]
    if item_images_path(dataset).is_dir():
        found.append(item_images_path(dataset))
    files = [file for path in found for file in ([path] if path.is_file() else sorted(path.rglob("*")))]
    sizes = {file.relative_to(dataset).as_posix(): file.stat().st_size for file in files if file.is_file()}
    for path in found:
        shutil.move(path, images / path.name)
    write_json(images / CONTENTS, {"files": sizes})


@contextmanager
def with_images(dataset: Path, images: Path) -> Iterator[Path]:
    """One folder in the layout of the data contract: links to the files of both. Neither folder is changed."""
    with tempfile.TemporaryDirectory(prefix="mmctr-dataset-") as name:
        for folder in (dataset, images):
            for path in folder.iterdir():
                if path.name not in (DIGESTS, CHECKED):
                    Path(name, path.name).symlink_to(path.resolve())
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
