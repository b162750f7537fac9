"""Where each modality's vectors come from: an encoder's room in the cache, or a column of the data."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.embed.cache import VectorCache, content_key
from components.embed.config import EmbedConfig
from components.embed.item_inputs import PRECOMPUTED, Items
from components.embed.registry import Modality, Variant, chosen
from components.embed.weights import revision
from components.errors import StepError

MODALITIES: tuple[Modality, ...] = ("text", "image")


def variants(items: Items, config: EmbedConfig, scratch: Path) -> dict[Modality, Variant]:
    """The encoders that this run needs, by modality."""
    found: dict[Modality, Variant] = {}
    for modality in MODALITIES:
        spec = chosen(config, modality)
        if spec is None or modality in items.columns:
            continue
        if modality == "image" and not len(items.images):
            raise StepError(
                "the dataset has no images: put item_images/{id}.jpg or item_images-*.tar there, or set "
                "embed.image_encoder=none to embed without them"
            )
        weights, pinned = (
            (config.text_weights, config.text_revision)
            if modality == "text"
            else (config.image_weights, config.image_revision)
        )
        limit = config.pixel_limit if modality == "image" else 0
        found[modality] = Variant(spec, weights, revision(spec, weights, pinned, scratch), config.precision, limit)
    return found


def item_keys(items: Items, modality: Modality, part: slice, threads: int) -> list[bytes | None]:
    """The content hash of each item of a part; None, and a cause in `items.bad`, where there is nothing to hash."""
    if modality in items.keys:
        return items.keys[modality][part]
    if modality == "text":
        keys = [content_key(text.encode()) if text else None for text in items.texts[part]]
    else:
        with ThreadPoolExecutor(threads) as pool:
            keys = list(pool.map(lambda item: _image_key(items, item), items.ids[part]))
        items.bad["image"].update(
            {item: "missing" for item, key in zip(items.ids[part], keys, strict=True) if key is None}
        )
    if len(keys) == len(items):
        items.keys[modality] = keys
    return keys


def _image_key(items: Items, item: int) -> bytes | None:
    return content_key(items.images.read(item)) if item in items.images else None


@dataclass
class VectorBlock:
    """One modality's vectors in item order, with a mark for each row that can be used."""

    modality: Modality
    vectors: np.ndarray
    usable: np.ndarray
    origin: dict[str, Any]  # for the manifest, and what a champion's projection must have been fitted on

    @property
    def width(self) -> int:
        return int(self.vectors.shape[1])


def from_cache(items: Items, modality: Modality, variant: Variant, cache: VectorCache, scratch: Path) -> VectorBlock:
    room = cache.room(variant.id)
    keys = item_keys(items, modality, slice(0, len(items)), threads=2)
    lost = [item for item, key in zip(items.ids, keys, strict=True) if key is not None and key not in room.places]
    if lost:
        raise StepError(
            f"{len(lost)} items have no {modality} vector in {cache.store.location} (item {lost[0]} is the first): "
            "a shard did not finish. Run encode_shard again; it makes only what is missing"
        )
    usable = np.ones(len(items), dtype=bool)
    for row, (item, key) in enumerate(zip(items.ids, keys, strict=True)):
        cause = room.cause(key) if key is not None else items.bad[modality][item]
        if cause:
            items.bad[modality][item] = cause
            usable[row] = False
        elif key is not None and room.note(key):
            items.notes[f"{modality}: {room.note(key)}"] += 1
    vectors = _matrix(scratch / f"{modality}.f32", len(items), room.dimension)
    room.gather([key if ok else None for key, ok in zip(keys, usable, strict=True)], vectors)
    return VectorBlock(modality, vectors, usable, {**variant.describe(), "dimension": room.dimension})


def from_column(items: Items, modality: Modality, scratch: Path) -> VectorBlock:
    """Vectors that came with the data, as they are."""
    name, column = PRECOMPUTED[modality], items.columns[modality]
    lengths = pc.list_value_length(column).fill_null(0).to_numpy()
    width = int(np.bincount(lengths).argmax())
    if width == 0:
        raise StepError(
            f"item_feature.parquet: most of {name} is null; remove the column or set embed.use_precomputed=false"
        )
    vectors = _matrix(scratch / f"{modality}.f32", len(items), width)
    usable = lengths == width
    given = column.filter(pa.array(usable)).combine_chunks().flatten()
    vectors[usable] = given.to_numpy(zero_copy_only=False).reshape(-1, width)  # a null inside a vector becomes NaN
    finite = np.isfinite(vectors).all(1)
    for row, item in enumerate(items.ids):
        if not (usable[row] and finite[row]):
            cause = "not finite" if usable[row] else "null" if lengths[row] == 0 else f"not {width} wide"
            items.bad[modality][item] = f"{name} {cause}"
            vectors[row] = 0.0
    digest = hashlib.sha256(np.ascontiguousarray(vectors).tobytes()).hexdigest()
    return VectorBlock(modality, vectors, usable & finite, {"column": name, "dimension": width, "sha256": digest})


def _matrix(path: Path, rows: int, width: int) -> np.ndarray:
    """On disk, so that a million items need no memory but the page cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return (
        np.memmap(path, dtype=np.float32, mode="w+", shape=(rows, width))
        if rows * width
        else np.zeros((rows, width), np.float32)
    )


def blocks(sources: list[VectorBlock], rows_N: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """The vectors of all modalities joined, for the marked rows only, one block at a time."""
    for start in range(0, len(rows_N), size):
        rows = np.flatnonzero(rows_N[start : start + size]) + start
        if len(rows):
            yield np.concatenate([source.vectors[rows] for source in sources], axis=1)
