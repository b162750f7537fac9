"""Puts the item vectors together: bad input, projection, item_info, manifest, picture."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.dataset.item_ids import pack_ids
from components.dataset.item_info import write_item_info
from components.dataset.layout import SPLITS
from components.embed.bad_input import account, enforce
from components.embed.cache import VectorCache
from components.embed.config import EmbedConfig
from components.embed.contact_sheet import Captions, draw_contact_sheet
from components.embed.item_inputs import Items, ids_in_split
from components.embed.plan import Plan
from components.embed.projection import BLOCK, Projection, fit_id, fit_projection, load_projection
from components.embed.quality import CANDIDATES, View, spread, tag_agreement, view
from components.embed.sources import VectorBlock, blocks, vector_blocks
from components.errors import StepError
from components.storage.files import read_json, sha256_file, write_json

QUERIES_DRAWN = 5
MARKED_LIMIT = 10_000  # at most so many ids are listed in the manifest for each modality whose mean they got


def assemble_items(plan: Plan, dataset: Path, champion: Path, out: Path) -> dict[str, Any]:
    """Makes the step's files from the vectors in the cache and in the data's columns; no encoder runs here."""
    seconds = _Stopwatch()
    items, config, cache = plan.items, plan.config, plan.cache
    sources = vector_blocks(plan)
    ids = np.array(items.ids, dtype=np.int64)
    tags_NT, tag_names = _numbered_tags(items, champion)
    named = {split: ids_in_split(dataset, split) for split in SPLITS}
    absent = np.setdiff1d(np.unique(np.concatenate(list(named.values()))), ids)
    bad = account(items, sources, absent.tolist())
    enforce(bad, config)
    seconds.lap("gather")

    fitting = np.logical_and.reduce([source.usable for source in sources]) & np.isin(ids, named["train"])
    projection, origin = _projection(sources, fitting, champion, config, cache)
    seconds.lap("projection")
    vectors = project(sources, projection)
    seconds.lap("apply")

    highest = int(max([ids.max(), *(split_ids.max() for split_ids in named.values() if len(split_ids))]))
    out.mkdir(parents=True, exist_ok=True)
    write_item_info(out / "item_info.parquet", ids, tags_NT, vectors, highest)
    projection.save(out / "projection.npz")
    seconds.lap("write")
    views, rows = _views(sources, vectors)
    captions = Captions([items.ids[row] for row in rows], [items.titles[row] for row in rows], items.images)
    quality = show_neighbours(views, tags_NT[rows], captions, out)
    seconds.lap("neighbours")

    manifest = {
        **_about(sources, ids, vectors),
        "source": "encoded",
        "rows": highest + 1,
        "bad_input": {"policy": config.bad_input, "limit": config.bad_input_limit, **bad},
        "projection": {"origin": origin, "policy": config.projection, "hash": projection.hash, **projection.facts},
        "tag_names": tag_names,
        "neighbours": quality,
        "damaged_shards": cache.damaged,
        "item_info_sha256": sha256_file(out / "item_info.parquet"),
        "seconds": seconds.laps,
    }
    write_json(out / "manifest.json", manifest)
    return manifest


def _about(sources: Sequence[VectorBlock], ids: np.ndarray, vectors: np.ndarray) -> dict[str, Any]:
    """What the manifest says about the vectors, and for which items they are only the mean."""
    return {
        "items": len(ids),
        "item_ids": pack_ids(ids),  # item_info has a row for each id up to the highest; these are the ids with an item
        "dimension": vectors.shape[1],
        "encoders": {source.modality: source.origin for source in sources},
        "imputed": {source.modality: ids[~source.usable][:MARKED_LIMIT].tolist() for source in sources},
        "imputed_counts": {source.modality: int((~source.usable).sum()) for source in sources},
        "same_as_mean": ids[~vectors.any(1)][:MARKED_LIMIT].tolist(),
    }


def _numbered_tags(items: Items, champion: Path) -> tuple[np.ndarray, list[str]]:
    """Tags with names keep the champion's numbers, and new names follow: a ranker's embeddings keep their meaning."""
    tags_NT, path = np.array(items.tags, dtype=np.int64), champion / "package" / "manifest.json"
    known = read_json(path).get("tag_names", []) if items.tag_names and path.is_file() else []
    names = [*known, *sorted(set(items.tag_names) - set(known))]
    number = {name: place for place, name in enumerate(names, start=1)}
    return np.array([0, *(number[name] for name in items.tag_names)])[tags_NT] if names else tags_NT, names


def _projection(
    sources: list[VectorBlock], fitting: np.ndarray, champion: Path, config: EmbedConfig, cache: VectorCache
) -> tuple[Projection, str]:
    path = champion / "package" / "projection.npz"
    if config.projection == "reuse-champion" and path.exists():
        projection = load_projection(path.read_bytes(), str(path))
        if wrong := misfit(projection, sources, config):
            raise StepError(
                f"embed.projection = 'reuse-champion': {wrong}. Set embed.projection=fit, or go back to the champion's "
                "encoders"
            )
        return projection, "champion"
    return _fitted(sources, fitting, config, cache), "fitted"


def _fitted(sources: list[VectorBlock], fitting: np.ndarray, config: EmbedConfig, cache: VectorCache) -> Projection:
    """Fits a projection, or takes the one that the same vectors gave before: on a day without new items, fitting would
    take most of the time.
    """

    def rows() -> Iterator[np.ndarray]:
        return blocks(sources, fitting, BLOCK)

    inputs = _inputs(sources)
    name = f"projections/{fit_id(rows, config, inputs)}"
    if kept := cache.recall(name):
        return load_projection(kept, name)
    projection = fit_projection(rows, [source.width for source in sources], config)
    projection.facts["inputs"] = inputs
    cache.keep(name, projection.to_bytes())
    return projection


def _inputs(sources: Sequence[VectorBlock]) -> list[dict[str, Any]]:
    """What a projection was fitted on: another encoder's vectors mean nothing to it."""
    return [
        {
            "modality": source.modality,
            "width": source.width,
            "encoder": source.origin.get("id", source.origin.get("column")),
        }
        for source in sources
    ]


def misfit(projection: Projection, sources: Sequence[VectorBlock], config: EmbedConfig) -> str | None:
    """Why a projection says nothing of these vectors; None where it does."""
    fitted, given = projection.facts.get("inputs"), _inputs(sources)
    width = len(projection.mean) if projection.matrix is None else projection.matrix.shape[1]
    wanted = len(projection.mean) if config.fusion == "none" else config.dimension
    if fitted == given and width == wanted and projection.facts["fusion"] == config.fusion:
        return None
    return (
        f"the champion's was fitted on {fitted} with {projection.facts.get('fusion')} to {width} widths, this run has "
        f"{given} with {config.fusion} to {wanted}"
    )


def project(sources: Sequence[VectorBlock], projection: Projection) -> np.ndarray:
    """Every item's vector. A modality that cannot be read is replaced by its mean, which is zero after centring."""
    outputs, start = [], 0
    count = len(sources[0].usable)
    for start in range(0, count, BLOCK):
        block, left = [], 0
        for source in sources:
            part = np.array(source.vectors[start : start + BLOCK], dtype=np.float64)
            part[~source.usable[start : start + BLOCK]] = projection.mean[left : left + source.width]
            left += source.width
            block.append(part)
        outputs.append(projection.apply(np.concatenate(block, axis=1)))
    return np.concatenate(outputs)


def _views(sources: Sequence[VectorBlock], vectors: np.ndarray) -> tuple[list[View], np.ndarray]:
    rows = spread(np.arange(len(vectors)), CANDIDATES)
    views = [view(source.modality, source.vectors[rows], source.usable[rows]) for source in sources]
    if len(sources) > 1:
        usable = np.logical_and.reduce([source.usable[rows] for source in sources])
        views.append(view("both", vectors[rows], usable))
    return views, rows


def show_neighbours(views: list[View], tags_NT: np.ndarray, captions: Captions, out: Path) -> dict[str, Any]:
    complete = np.flatnonzero(np.logical_and.reduce([one.usable for one in views]))
    queries = spread(complete, QUERIES_DRAWN + 2)[1:-1]  # the first and the last id are seldom typical
    draw_contact_sheet(captions, views, queries, out / "contact_sheet.png")
    return tag_agreement(views, tags_NT)


class _Stopwatch:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now
