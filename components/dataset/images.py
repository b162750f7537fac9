"""Reads the images of a dataset: loose files `item_images/{id}.jpg|png`, or tar shards `item_images-*.tar`.

Shards are ordinary tar files (WebDataset), members named `{id}.jpg|jpeg|png`: object stores and DVC transfer few big
files much faster than many small ones. They lie in the dataset folder or in its `item_images/`. If an item has an image
in both, the loose file counts, so that a single image can be replaced without a new shard. The same holds for the
shards into which ingest packs loose files.
"""

import re
import tarfile
from pathlib import Path

from components.dataset.layout import item_images_path
from components.errors import StepError

_SUFFIXES = (".jpg", ".jpeg", ".png")
_ID = re.compile(r"[0-9]{1,18}")
_SHARDS = "item_images-*.tar"
PACKED = "item_images-packed-{}.tar"  # in item_images/: what ingest makes of loose files


class ImageFolder:
    """Random access to the encoded bytes of each item's image. The index holds names and offsets, never pixels."""

    def __init__(self, dataset: Path) -> None:
        self._files: dict[int, Path] = {}
        self._members: dict[int, tuple[Path, int, int]] = {}  # item -> shard, offset and length in bytes
        for shard in shards(dataset):
            self._members.update(_index(shard))
        for path in loose_images(dataset):
            item = _item_id(path.name)
            if item is not None:
                self._files[item] = path

    def __len__(self) -> int:
        return len(self.ids())

    def __contains__(self, item: int) -> bool:
        return item in self._files or item in self._members

    def ids(self) -> list[int]:
        return sorted(self._files.keys() | self._members.keys())

    def read(self, item: int) -> bytes:
        """The file as it is stored; KeyError for an item without an image."""
        if item in self._files:
            return self._files[item].read_bytes()
        shard, offset, length = self._members[item]
        with shard.open("rb") as file:
            file.seek(offset)
            return file.read(length)


def shards(dataset: Path) -> list[Path]:
    """In the order in which they are read: of two images of one item, the later one counts."""
    inner = sorted(item_images_path(dataset).glob(_SHARDS))
    return sorted(dataset.glob(_SHARDS)) + sorted(inner, key=lambda path: path.match(PACKED.format("*")))


def loose_images(dataset: Path) -> list[Path]:
    """By name, which is also the order in which they are read."""
    folder = item_images_path(dataset)
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    # A named pipe is no file: reading it would never end.
    return [path for path in files if _item_id(path.name) is not None and path.is_file()]


def shard_ids(shard: Path) -> list[int]:
    """The items whose images a shard holds."""
    return sorted(_index(shard))


def image_files(dataset: Path) -> list[Path]:
    """The shards and the loose files, to be copied or hashed."""
    return shards(dataset) + loose_images(dataset)


def _item_id(name: str) -> int | None:
    stem, dot, suffix = Path(name).name.rpartition(".")
    if not dot or f".{suffix.lower()}" not in _SUFFIXES or not _ID.fullmatch(stem):
        return None
    return int(stem)


def _index(shard: Path) -> dict[int, tuple[Path, int, int]]:
    try:
        with tarfile.open(shard, "r:") as tar:
            found = [(_item_id(m.name), m.offset_data, m.size) for m in tar if m.isfile()]
            end = tar.offset
    except (tarfile.TarError, OSError, ValueError) as error:
        raise StepError(f"{shard} is not a readable tar of images ({error}): make it again, uncompressed") from None
    if any(offset + size > shard.stat().st_size for _, offset, size in found) or end == 0:
        raise StepError(f"{shard} is cut off: {shard.stat().st_size} bytes do not hold all its members; fetch it again")
    return {item: (shard, offset, size) for item, offset, size in found if item is not None}
