"""The embed step: `embed` does everything; on Kubeflow, many `encode_shard` run at the same time, and then one
`assemble`.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.embed.assemble import assemble_items
from components.embed.config import EmbedConfig
from components.embed.encode import encode_items
from components.embed.existing import pass_through
from components.embed.plan import planned
from components.storage.files import write_json


def embed(dataset: Path, champion: Path, config: EmbedConfig, cache: str | Path, out: Path) -> dict[str, Any]:
    """Encodes what the cache lacks and writes item_info.parquet, manifest.json, projection.npz, contact_sheet.png."""
    with planned(dataset, config, cache) as plan:
        if plan is None:
            return pass_through(dataset, config, out)
        report = encode_items(plan)
        manifest = assemble_items(plan, dataset, champion, out)
    return _with_cache_report(manifest, [{"shard": 0, "modalities": report}], out)


def encode_shard(dataset: Path, config: EmbedConfig, cache: str | Path, shard: int, shards: int) -> dict[str, Any]:
    """Fills the cache for one part of the items. It needs nothing from other parts, and repeating it is cheap, because
    encoded items are found in the cache.
    """
    if not 0 <= shard < shards:
        raise ValueError(f"shard = {shard}: must lie in [0, {shards - 1}]")
    started = time.perf_counter()
    with planned(dataset, config, cache, shard, shards) as plan:
        if plan is None:
            return {"shard": shard, "shards": shards, "items": 0, "modalities": {}, "damaged": [], "seconds": 0.0}
        return {
            "shard": shard,
            "shards": shards,
            "items": plan.part.stop - plan.part.start,
            "modalities": encode_items(plan),
            "damaged": plan.cache.damaged,
            "seconds": time.perf_counter() - started,
        }


def assemble(
    dataset: Path,
    champion: Path,
    config: EmbedConfig,
    cache: str | Path,
    out: Path,
    reports: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Makes the step's files from a cache that the shards have filled; `reports` are what they returned."""
    with planned(dataset, config, cache) as plan:
        if plan is None:
            return pass_through(dataset, config, out)
        manifest = assemble_items(plan, dataset, champion, out)
    return _with_cache_report(manifest, reports, out)


def _with_cache_report(manifest: dict[str, Any], reports: Sequence[dict[str, Any]], out: Path) -> dict[str, Any]:
    totals: dict[str, dict[str, float]] = {}
    for report in reports:
        for modality, counts in report["modalities"].items():
            total = totals.setdefault(
                modality, {"hits": 0, "encoded": 0, "seconds": 0.0, "load_seconds": 0.0, "cpu_seconds": 0.0}
            )
            for name in total:
                total[name] += counts[name]
    damaged = sorted({*manifest["damaged_shards"], *(name for report in reports for name in report.get("damaged", []))})
    manifest |= {"cache": totals, "shards": max(len(reports), 1), "damaged_shards": damaged}
    write_json(out / "manifest.json", manifest)
    return manifest
