"""Writes a sample in the challenge's layout, row group by row group, and `truth.json` in the same folder."""

import dataclasses
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset.layout import (
    IMAGE_EMBEDDING,
    ITEM,
    ITEM_EMBEDDING,
    MAX_TAGS,
    SPLITS,
    TAGS,
    TEXT_EMBEDDING,
    item_feature_path,
    item_info_path,
    split_path,
)
from components.dataset.sample.clicks import Rows, draw_rows
from components.dataset.sample.covers import draw_cover
from components.dataset.sample.spec import SampleSpec
from components.dataset.sample.truth import Truth
from components.dataset.sample.world import ATTRIBUTES, World, make_world
from components.dataset.tables import items_table, rows_schema, rows_table, vectors
from components.process.progress import progress
from components.storage.files import atomic_path, write_json

_ITEMS_A_SHARD = 10_000
_ITEMS_A_ROW_GROUP = 8_192
_NOISE = 0.5  # of made-up embeddings, where a true attribute counts 1


def write_sample(out: Path, spec: SampleSpec) -> None:
    """The same spec gives the same bytes, wherever the same versions of pyarrow and Pillow are installed."""
    out.mkdir(parents=True, exist_ok=True)
    world = make_world(spec)
    truth = Truth(world)
    with progress("draw sample", sum(spec.rows(split) for split in SPLITS), "rows") as bar:
        for split in SPLITS:
            labelled = split != "test" or spec.label_test
            with (
                atomic_path(split_path(out, split)) as scratch,
                pq.ParquetWriter(scratch, rows_schema(labelled), compression="zstd") as writer,
            ):
                for rows in draw_rows(world, spec, split):
                    writer.write_table(_rows_table(world, rows, labelled))
                    truth.add(split, rows)
                    bar.advance(len(rows.item))
    write_items(out, world, spec)
    write_json(out / "truth.json", {"spec": dataclasses.asdict(spec), "splits": truth.summary()})


def _rows_table(world: World, rows: Rows, labelled: bool) -> pa.Table:
    likes, views = world.likes[rows.item - 1], world.views[rows.item - 1]
    return rows_table(rows.user, rows.item, rows.history, likes, views, rows.label if labelled else None)


def write_items(out: Path, world: World, spec: SampleSpec) -> None:
    table = items_table(np.arange(1, world.items + 1), world.titles, world.tags, world.likes, world.views)
    rng = np.random.default_rng([spec.seed, 4])
    if spec.content == "columns":
        table = table.append_column(TEXT_EMBEDDING, vectors(_embed(world, (0,), 768, rng)))
        table = table.append_column(IMAGE_EMBEDDING, vectors(_embed(world, (1, 2, 3), 1024, rng)))
    _write_table(item_feature_path(out), table)
    if spec.content == "item_info":
        _write_item_info(out, world, rng)
    elif spec.content == "images":
        for number, first in enumerate(range(0, world.items, _ITEMS_A_SHARD)):
            items = range(first, min(first + _ITEMS_A_SHARD, world.items))
            _write_shard(out / f"item_images-{number:05d}.tar", _covers(world, items, spec.seed))


def _write_item_info(out: Path, world: World, rng: np.random.Generator) -> None:
    tags = np.zeros((world.items + 1, MAX_TAGS), dtype=np.int64)
    for item, own in enumerate(world.tags, start=1):
        tags[item, MAX_TAGS - len(own) :] = own
    embedding = np.zeros((world.items + 1, 128), dtype=np.float32)
    embedding[1:] = _embed(world, (0, 1, 2, 3), 128, rng)
    columns = {ITEM: pa.array(np.arange(world.items + 1)), TAGS: vectors(tags), ITEM_EMBEDDING: vectors(embedding)}
    _write_table(item_info_path(out), pa.table(columns))


def _embed(world: World, attributes: tuple[int, ...], width: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Vectors as a good encoder would make them: one direction for each value of an attribute, and noise."""
    vectors = rng.normal(0.0, _NOISE / np.sqrt(width), (world.items, width)).astype(np.float32)
    for attribute in attributes:
        directions = rng.normal(0.0, 1 / np.sqrt(width), (ATTRIBUTES[attribute], width)).astype(np.float32)
        vectors += directions[world.attributes[:, attribute]]
    return vectors


def _write_table(path: Path, table: pa.Table) -> None:
    with atomic_path(path) as scratch:
        pq.write_table(table, scratch, compression="zstd", row_group_size=_ITEMS_A_ROW_GROUP)


def _covers(world: World, items: range, seed: int) -> Iterator[tuple[str, bytes]]:
    with progress("draw covers", len(items), "items") as bar:
        for item in items:
            _, colour, shape, texture = (int(value) for value in world.attributes[item])
            yield f"{item + 1}.jpg", draw_cover(colour, shape, texture, np.random.default_rng([seed, 5, item]))
            bar.advance()


def _write_shard(path: Path, files: Iterator[tuple[str, bytes]]) -> None:
    with atomic_path(path) as scratch, tarfile.open(scratch, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)  # no time, owner or rights of this machine: the bytes must repeat
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
