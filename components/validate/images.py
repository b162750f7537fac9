"""The pictures: which items have one, and whether a draw of them decodes to the last line."""

import hashlib
import io
import tarfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from components import layout
from components.progress import progress
from components.validate.measured import Line, Measured

_SUFFIXES = {".jpg", ".jpeg", ".png"}
_SEED = 20_25


def measure_images(data: Path, images_decoded: int, measured: Measured) -> None:
    """Adds the column `has_image` to the table `items`, and measures `images` and `images_whole`."""
    folder = layout.item_images_path(data)
    loose = {item: path for path in _files(folder) if (item := _item_of(path.name)) is not None}
    shards = sorted(data.glob("item_images-*.tar")) + sorted(folder.glob("*.tar"))
    if not loose and not shards:
        for table in ("images", "images_whole", "items.has_image"):
            measured.missing(table, "the dataset has no pictures: they are optional")
        return
    in_shards, lines = _index(shards)
    known = sorted({*loose, *in_shards})
    drawn = set(known)
    if images_decoded and len(known) > images_decoded:
        drawn = set(np.random.default_rng(_SEED).choice(known, images_decoded, replace=False).tolist())
    hashes: Counter[str] = Counter()
    with progress("decode images", len(drawn), "images") as bar, ThreadPoolExecutor(2) as pool:
        for item, problem, digest in pool.map(_look, _bytes(loose, shards, drawn)):
            lines.append({"item_id": item, "problem": problem})
            hashes[digest] += 1
            bar.advance()
    bad = [line for line in lines if line["problem"]]
    measured.examples["images.problem"] = bad[:100]
    measured.counts["images.problem"] = len(bad)
    measured.add("images", "item_id", lines)
    measured.add("images_whole", "of", [
        {"of": "item_images", "pictures": len(known), "decoded": len(drawn),
         "top_image_share": max(hashes.values(), default=0) / max(1, len(drawn))},
    ])  # fmt: skip
    if "items" in measured.tables:
        items = measured.tables["items"]
        items["has_image"] = items[layout.ITEM].isin(known).astype(np.int64)


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES) if folder.is_dir() else []


def _item_of(name: str) -> int | None:
    """`123.jpg` is the picture of item 123; other names are not pictures of items."""
    path = Path(name)
    return int(path.stem) if path.suffix.lower() in _SUFFIXES and path.stem.isdecimal() else None


def _index(shards: list[Path]) -> tuple[set[int], list[Line]]:
    """The items that the shards hold, and a line for each shard that cannot be read."""
    found, lines = set(), []
    for shard in shards:
        try:
            with tarfile.open(shard) as tar:
                found |= {item for member in tar if (item := _item_of(member.name)) is not None}
        except (tarfile.TarError, OSError, EOFError) as error:
            lines.append({"item_id": -1, "problem": f"{shard.name}: not a whole tar file ({error})"})
    return found, lines


def _bytes(loose: dict[int, Path], shards: list[Path], drawn: set[int]) -> Iterator[tuple[int, bytes]]:
    for path_item in sorted(drawn & loose.keys()):
        yield path_item, loose[path_item].read_bytes()
    packed = drawn - loose.keys()
    for shard in shards:
        try:
            with tarfile.open(shard) as tar:
                for member in tar:
                    item = _item_of(member.name)
                    if item is not None and item in packed and (file := tar.extractfile(member)) is not None:
                        yield item, file.read()
        except (tarfile.TarError, OSError, EOFError):
            continue  # `_index` has told of it


def _look(picture: tuple[int, bytes]) -> tuple[int, str, str]:
    """What is wrong with a picture, and a hash of its bytes."""
    from PIL import Image, UnidentifiedImageError

    item, content = picture
    problem = ""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.draft("RGB", (64, 64))  # lets JPEG decode at an eighth of the size: it still reads every block
            image.load()
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        problem = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            problem = "no format of a picture is recognised"  # its own words name an address in memory
        if not content:
            problem = "the file is empty"
        elif content.lstrip()[:1] == b"<":
            problem = "holds markup, not a picture"
    return item, problem, hashlib.sha256(content).hexdigest()
