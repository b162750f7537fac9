"""The pictures: which items have one, and whether a sample of them can be decoded completely."""

import hashlib
import io
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from components.dataset import layout
from components.dataset.images import ImageFolder
from components.errors import StepError
from components.process.progress import progress
from components.validate.measured import Line, Measured

_SEED = 20_25
_THREADS = 2  # Pillow lets go of the interpreter's lock while it decodes


def measure_images(data: Path, images_decoded: int, measured: Measured) -> None:
    """Adds the column `has_image` to the table `items`, and measures `images` and `images_whole`."""
    try:
        pictures = ImageFolder(data)
    except StepError as error:
        measured.examples["images.problem"] = [{"item_id": None, "problem": str(error)}]
        measured.add("images", "item_id", [{"item_id": "all", "problem": str(error)}])
        for place in ("images_whole", "items.has_image"):
            measured.missing(place, "a shard of pictures could not be read")
        return
    known = pictures.ids()
    if not known:
        for place in ("images", "images_whole", "items.has_image"):
            measured.missing(place, "the dataset has no pictures: they are optional")
        return
    drawn = known
    if 0 < images_decoded < len(known):
        drawn = sorted(np.random.default_rng(_SEED).choice(known, images_decoded, replace=False).tolist())
    lines, hashes = _decode(pictures, drawn)
    bad = [line for line in lines if line["problem"]]
    measured.examples["images.problem"] = bad[:100]
    measured.counts["images.problem"] = len(bad)
    measured.add("images", "item_id", lines)
    top = max(hashes.values()) / len(drawn)
    whole = {"of": "item_images", "pictures": len(known), "decoded": len(drawn), "top_image_share": top}
    measured.add("images_whole", "of", [whole])
    if "items" in measured.tables:
        items = measured.tables["items"]
        items["has_image"] = items[layout.ITEM].isin(known).astype(np.int64)


def _decode(pictures: ImageFolder, drawn: list[int]) -> tuple[list[Line], Counter[str]]:
    def look(item: int) -> tuple[int, str, str]:
        content = pictures.read(item)
        return item, _problem(content), hashlib.sha256(content).hexdigest()

    lines: list[Line] = []
    hashes: Counter[str] = Counter()
    with progress("decode images", len(drawn), "images") as bar, ThreadPoolExecutor(_THREADS) as pool:
        for item, problem, digest in pool.map(look, drawn):
            lines.append({"item_id": item, "problem": problem})
            hashes[digest] += 1
            bar.advance()
    return lines, hashes


def _problem(content: bytes) -> str:
    """What is wrong with a picture; empty when it decodes."""
    from PIL import Image, UnidentifiedImageError

    if not content:
        return "the file is empty"
    if content.lstrip()[:1] == b"<":
        return "holds markup, not a picture"
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.draft("RGB", (64, 64))  # lets JPEG decode at an eighth of the size: it still reads every block
            image.load()
    except UnidentifiedImageError:
        return "no format of a picture is recognised"  # its own words name an address in memory
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        return str(error) or type(error).__name__
    return ""
