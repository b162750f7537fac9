"""Encodes what the cache does not hold yet. Threads decode images ahead, and results are written as they come."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from components.dataset.pictures import Picture, read_picture
from components.embed.cache import CachedVector, VectorCache
from components.embed.plan import Plan
from components.embed.registry import Modality, TextPreprocessing, Variant
from components.embed.weights import fetch
from components.errors import StepError
from components.process.progress import progress

S = TypeVar("S")
T = TypeVar("T")
Decoded = tuple[bytes, Picture]
FLUSH_SECONDS = 60.0


def encode_items(plan: Plan) -> dict[Modality, dict[str, Any]]:
    """Fills the cache for the plan's part; the report says what was there and what was made, by modality."""
    report: dict[Modality, dict[str, Any]] = {}
    for modality, variant in plan.encoders.items():
        started, cpu = time.perf_counter(), time.process_time()
        keys = plan.keys(modality)
        known = plan.cache.room(variant.id).places
        rows = {key: row for row, key in enumerate(keys) if key is not None and key not in known}
        loaded = (0.0, 0.0)
        if rows:
            encode = _encode_texts if modality == "text" else _encode_images
            # One row a content: items that share a title or a cover share its vector.
            loaded = encode(plan, {key: plan.part.start + row for key, row in rows.items()}, variant)
        hits = sum(key is not None and key not in rows for key in keys)
        report[modality] = {
            "variant": variant.id,
            "hits": hits,
            "encoded": len(rows),
            "seconds": time.perf_counter() - started,
            "load_seconds": loaded[0],
            "cpu_seconds": time.process_time() - cpu - loaded[1],
        }
    return report


def _encode_texts(plan: Plan, rows: dict[bytes, int], variant: Variant) -> tuple[float, float]:
    """Returns the seconds, and those of CPU, that loading the encoder took."""
    from components.embed.runtime import runtime
    from components.embed.text import TextEncoder

    started, cpu, config = time.perf_counter(), time.process_time(), plan.config
    if not isinstance(variant.spec.preprocessing, TextPreprocessing):
        raise TypeError(f"{variant.spec.name} is no text encoder")
    folder = fetch(variant.spec, config.text_weights, config.text_revision, plan.scratch)
    encoder = TextEncoder(folder, variant.spec.preprocessing, runtime(config), config.text_batch)
    loaded = (time.perf_counter() - started, time.process_time() - cpu)
    keys = list(rows)
    texts = [plan.items.texts[rows[key]] for key in keys]
    with (
        progress("encode texts", len(keys), "items") as bar,
        encoder.where.pool() as pool,
        _Writer(plan.cache, variant, encoder.dimension, config.flush_items) as writer,
    ):
        batches = encoder.batches(texts)
        for batch, vectors in ahead(pool, lambda batch: (batch, encoder.forward(batch)), batches, encoder.where.window):
            for position, vector, note in zip(batch.positions, vectors, batch.notes, strict=True):
                writer.add(CachedVector(keys[position], vector, note=note))
            bar.advance(len(batch.positions))
    return loaded


def _encode_images(plan: Plan, rows: dict[bytes, int], variant: Variant) -> tuple[float, float]:
    """Returns the seconds, and those of CPU, that loading the encoder took."""
    from components.embed.runtime import runtime
    from components.embed.vision import ImageEncoder

    started, cpu, config = time.perf_counter(), time.process_time(), plan.config
    folder = fetch(variant.spec, config.image_weights, config.image_revision, plan.scratch)
    encoder = ImageEncoder(folder, variant.spec, runtime(config), config.image_batch)
    loaded = (time.perf_counter() - started, time.process_time() - cpu)

    def decode(key: bytes) -> Decoded:
        return key, read_picture(plan.items.images.read(plan.items.ids[rows[key]]), encoder.size, config.pixel_limit)

    def forward(batch: list[Decoded]) -> tuple[list[Decoded], np.ndarray]:
        return batch, encoder.forward([picture.pixels for _, picture in batch if picture.pixels is not None])

    with (
        progress("encode images", len(rows), "items") as bar,
        ThreadPoolExecutor(config.decoders, thread_name_prefix="decode") as decoders,
        encoder.where.pool() as pool,
        _Writer(plan.cache, variant, encoder.dimension, config.flush_items) as writer,
    ):
        decoded = ahead(decoders, decode, rows, 4 * config.image_batch + config.decoders)
        batches = _good_batches(
            decoded, config.image_batch, lambda key, cause: writer.add(CachedVector(key, None, cause))
        )
        for batch, vectors in ahead(pool, forward, batches, encoder.where.window):
            for (key, picture), vector in zip(batch, vectors, strict=True):
                writer.add(CachedVector(key, vector, note=picture.note))
            bar.advance(len(batch))
    return loaded


def _good_batches(
    decoded: Iterable[Decoded], size: int, failed: Callable[[bytes, str], None]
) -> Iterator[list[Decoded]]:
    """Pictures in batches. Those that could not be read are recorded in the cache and left out."""
    batch: list[Decoded] = []
    for key, picture in decoded:
        if picture.pixels is None:
            failed(key, picture.cause)
            continue
        batch.append((key, picture))
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def ahead(pool: ThreadPoolExecutor, work: Callable[[S], T], inputs: Iterable[S], window: int) -> Iterator[T]:
    """Results in the order of the inputs, with at most `window` of them under way or waiting."""
    waiting: deque[Future[T]] = deque()
    for value in inputs:
        waiting.append(pool.submit(work, value))
        if len(waiting) >= window:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class _Writer:
    """Puts entries into the cache one shard at a time, and writes the rest also when the run is interrupted."""

    def __init__(self, cache: VectorCache, variant: Variant, dimension: int, flush_items: int) -> None:
        self.cache, self.variant, self.dimension, self.flush_items = cache, variant, dimension, flush_items
        self.entries: list[CachedVector] = []
        self.flushed = time.monotonic()

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()

    def add(self, entry: CachedVector) -> None:
        if entry.vector is not None and not (np.isfinite(entry.vector).all() and entry.vector.any()):
            raise StepError(
                f"the encoder {self.variant.spec.name} gave a vector that is zero or not finite in "
                f"{self.variant.precision}: its weights are broken, or set embed.precision=float32"
            )
        self.entries.append(entry)
        if len(self.entries) >= self.flush_items or time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        if self.entries:
            self.cache.put(self.variant.id, self.entries, self.dimension)
        self.entries, self.flushed = [], time.monotonic()
