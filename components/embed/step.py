"""The embed step: `embed` in one go, or `encode_shard` many times side by side and `assemble` once."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.embed.assemble import assemble_items
from components.embed.cache import VectorCache
from components.embed.config import EmbedConfig
from components.embed.encode import encode_items
from components.embed.existing import read_existing, takes_existing
from components.embed.item_info import write_item_info
from components.embed.items import read_items
from components.embed.projection import Projection
from components.files import sha256_file, write_json


def embed(dataset: Path, champion: Path, config: EmbedConfig, cache: str | Path, out: Path) -> dict[str, Any]:
    """Encodes what the cache lacks and writes item_info.parquet, manifest.json, projection.npz, contact_sheet.png."""
    if takes_existing(dataset, config):
        return _pass_through(dataset, config, out)
    with VectorCache(cache) as vectors, _scratch_folder() as scratch:
        items = read_items(dataset, config)
        report = encode_items(items, config, vectors, Path(scratch), items.part(0, 1))
        manifest = assemble_items(items, dataset, champion, config, vectors, Path(scratch), out)
    return _with_cache_report(manifest, [{"shard": 0, "modalities": report}], out)


def encode_shard(dataset: Path, config: EmbedConfig, cache: str | Path, shard: int, shards: int) -> dict[str, Any]:
    """Fills the cache for one part of the items. Alone in what it needs, and cheap to repeat: done work is found."""
    if not 0 <= shard < shards:
        raise ValueError(f"shard = {shard}: must lie in [0, {shards - 1}]")
    started = time.perf_counter()
    if takes_existing(dataset, config):
        return {"shard": shard, "shards": shards, "items": 0, "modalities": {}, "damaged": [], "seconds": 0.0}
    with VectorCache(cache) as vectors, _scratch_folder() as scratch:
        items = read_items(dataset, config)
        part = items.part(shard, shards)
        report = encode_items(items, config, vectors, Path(scratch), part)
        return {
            "shard": shard, "shards": shards, "items": part.stop - part.start, "modalities": report,
            "damaged": vectors.damaged, "seconds": time.perf_counter() - started,
        }  # fmt: skip


def assemble(
    dataset: Path,
    champion: Path,
    config: EmbedConfig,
    cache: str | Path,
    out: Path,
    reports: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Makes the step's files from a cache that the shards have filled; `reports` are what they returned."""
    if takes_existing(dataset, config):
        return _pass_through(dataset, config, out)
    with VectorCache(cache) as vectors, _scratch_folder() as scratch:
        items = read_items(dataset, config)
        manifest = assemble_items(items, dataset, champion, config, vectors, Path(scratch), out)
    return _with_cache_report(manifest, reports, out)


def _scratch_folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="mmctr-embed-")


def _with_cache_report(manifest: dict[str, Any], reports: Sequence[dict[str, Any]], out: Path) -> dict[str, Any]:
    totals: dict[str, dict[str, float]] = {}
    for report in reports:
        for modality, counts in report["modalities"].items():
            total = totals.setdefault(modality, {"hits": 0, "encoded": 0, "seconds": 0.0})
            for name in total:
                total[name] += counts[name]
    damaged = sorted({*manifest["damaged_shards"], *(name for report in reports for name in report.get("damaged", []))})
    manifest |= {"cache": totals, "shards": max(len(reports), 1), "damaged_shards": damaged}
    write_json(out / "manifest.json", manifest)
    return manifest


def _pass_through(dataset: Path, config: EmbedConfig, out: Path) -> dict[str, Any]:
    """The data's own item_info, checked; its projection is the identity, so that the step's files are all there."""
    tags, vectors = read_existing(dataset)
    out.mkdir(parents=True, exist_ok=True)
    write_item_info(out / "item_info.parquet", np.arange(len(tags)), tags, vectors, len(tags) - 1)
    width = vectors.shape[1]
    facts = {"fusion": "none", "standardise": "none", "inputs": [], "fitted_on": 0, "explained_variance": 1.0}
    projection = Projection(np.zeros(width), np.ones(width), None, facts)
    projection.save(out / "projection.npz")
    manifest: dict[str, Any] = {
        "source": "existing", "items": len(tags) - 1, "rows": len(tags), "dimension": width, "encoders": {},
        "bad_input": {"policy": config.bad_input, "limit": config.bad_input_limit, "items": 0, "share": 0.0,
                      "causes": {}, "notes": {}},
        "imputed": {}, "imputed_counts": {}, "same_as_mean": [], "tag_names": [], "neighbours": {},
        "projection": {"origin": "existing", "policy": config.projection, "hash": projection.hash, **facts},
        "item_info_sha256": sha256_file(out / "item_info.parquet"), "cache": {}, "shards": 1, "damaged_shards": [],
        "seconds": {},
    }  # fmt: skip
    write_json(out / "manifest.json", manifest)
    return manifest
