"""Where each modality's vectors come from: an encoder's room in the cache, or a column of the data."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.embed.item_inputs import PRECOMPUTED
from components.embed.plan import MODALITIES, Plan
from components.embed.registry import Modality
from components.errors import StepError


@dataclass(frozen=True)
class VectorBlock:
    """One modality's vectors in item order."""

    modality: Modality
    vectors: np.ndarray
    bad: dict[int, str]  # items whose vector cannot be used, with the cause
    usable: np.ndarray  # the same by row
    origin: dict[str, Any]  # for the manifest, and what a champion's projection must have been fitted on
    notes: Counter[str] = field(default_factory=Counter)  # oddities of vectors that are used all the same

    @property
    def width(self) -> int:
        return int(self.vectors.shape[1])


def vector_blocks(plan: Plan) -> list[VectorBlock]:
    """At least one, each with at least one vector that can be used."""
    found = [
        _from_column(plan, modality) if modality in plan.items.columns else _from_cache(plan, modality)
        for modality in MODALITIES
        if modality in plan.items.columns or modality in plan.encoders
    ]
    if not found:
        raise StepError(
            "no encoder is chosen and the data has no vectors: set embed.text_encoder or embed.image_encoder"
        )
    for block in found:
        if not block.usable.any():
            causes = sorted(set(block.bad.values()))
            raise StepError(f"not one item has a usable {block.modality} ({', '.join(causes)}): check the dataset")
    return found


def _from_cache(plan: Plan, modality: Modality) -> VectorBlock:
    items, variant = plan.items, plan.encoders[modality]
    room, keys = plan.cache.room(variant.id), plan.keys(modality)
    lost = [item for item, key in zip(items.ids, keys, strict=True) if key is not None and key not in room.places]
    if lost:
        raise StepError(
            f"{len(lost)} items have no {modality} vector in {plan.cache.store.location} (item {lost[0]} is the first)"
            ": a shard did not finish. Run encode_shard again; it makes only what is missing"
        )
    bad: dict[int, str] = {}
    notes: Counter[str] = Counter()
    for item, key in zip(items.ids, keys, strict=True):
        if key is None:
            bad[item] = items.bad["text"][item] if modality == "text" else "missing"
        elif cause := room.cause(key):
            bad[item] = cause
        elif note := room.note(key):
            notes[f"{modality}: {note}"] += 1
    usable = np.array([item not in bad for item in items.ids])
    vectors = _matrix(plan.scratch / f"{modality}.f32", len(items), room.dimension)
    room.gather([key if ok else None for key, ok in zip(keys, usable, strict=True)], vectors)
    origin = {**variant.describe(), "dimension": room.dimension}
    return VectorBlock(modality, vectors, bad, usable, origin, notes)


def _from_column(plan: Plan, modality: Modality) -> VectorBlock:
    """Vectors that came with the data, as they are."""
    items, name, column = plan.items, PRECOMPUTED[modality], plan.items.columns[modality]
    lengths = pc.list_value_length(column).fill_null(0).to_numpy()
    width = int(np.bincount(lengths).argmax())
    if width == 0:
        raise StepError(
            f"item_feature.parquet: most of {name} is null; remove the column or set embed.use_precomputed=false"
        )
    vectors = _matrix(plan.scratch / f"{modality}.f32", len(items), width)
    whole = lengths == width
    given = column.filter(pa.array(whole)).combine_chunks().flatten()
    vectors[whole] = given.to_numpy(zero_copy_only=False).reshape(-1, width)  # a null inside a vector becomes NaN
    usable = whole & np.isfinite(vectors).all(1)
    bad: dict[int, str] = {}
    for row in np.flatnonzero(~usable).tolist():
        cause = "not finite" if whole[row] else "null" if lengths[row] == 0 else f"not {width} wide"
        bad[items.ids[row]] = f"{name} {cause}"
        vectors[row] = 0.0
    digest = hashlib.sha256(np.ascontiguousarray(vectors).tobytes()).hexdigest()
    return VectorBlock(modality, vectors, bad, usable, {"column": name, "dimension": width, "sha256": digest})


def _matrix(path: Path, rows: int, width: int) -> np.ndarray:
    """Zeros on disk, so that a million items need no memory but the page cache.

    The space is taken first: to write into a mapped file whose disk is full ends the process (SIGBUS).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    size = rows * width * np.dtype(np.float32).itemsize
    if not size:
        return np.zeros((rows, width), np.float32)
    with path.open("wb") as file:
        try:
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(file.fileno(), 0, size)
            file.truncate(size)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
    return np.memmap(path, dtype=np.float32, mode="r+", shape=(rows, width))


def blocks(sources: list[VectorBlock], rows_N: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """The vectors of all modalities joined, for the marked rows only, one block at a time."""
    for start in range(0, len(rows_N), size):
        rows = np.flatnonzero(rows_N[start : start + size]) + start
        if len(rows):
            yield np.concatenate([source.vectors[rows] for source in sources], axis=1)
