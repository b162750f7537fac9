"""Vectors of items by a projection that an earlier run fitted: what a version that is in service can read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.embed.assemble import misfit, project
from components.embed.bad_input import account, enforce
from components.embed.config import EmbedConfig
from components.embed.encode import encode_items
from components.embed.existing import item_ids, read_existing
from components.embed.plan import planned
from components.embed.projection import load_projection
from components.embed.sources import vector_blocks
from components.errors import StepError


@dataclass(frozen=True)
class ItemVectors:
    """Items in order of id."""

    ids: np.ndarray
    tags: np.ndarray  # [N, 5], in the numbers of the earlier run
    vectors: np.ndarray
    encoded: int  # texts and pictures that the cache did not hold


def encode_as_fitted(
    dataset: Path, projection: Path, manifest: Mapping[str, Any], config: EmbedConfig, cache: str | Path
) -> ItemVectors:
    """Encodes what the cache lacks. `manifest` is that of the run which fitted the projection."""
    fitted = load_projection(projection.read_bytes(), str(projection))
    with planned(dataset, config, cache) as plan:
        if plan is None:
            tags, vectors = read_existing(dataset)
            if fitted.matrix is not None or vectors.shape[1] != len(fitted.mean):
                raise StepError("the data brings an item_info.parquet of its own, and the version's items were encoded")
            ids = item_ids(dataset, len(tags))
            return ItemVectors(ids, tags[ids], vectors[ids], 0)
        report = encode_items(plan)
        sources = vector_blocks(plan)
        if wrong := misfit(fitted, sources, config):
            raise StepError(f"the items can't be encoded as the version's were: {wrong}. Train a new version")
        enforce(account(plan.items, sources, []), config)
        tags = _renumbered(np.array(plan.items.tags), plan.items.tag_names, manifest["tag_names"])
        encoded = sum(counts["encoded"] for counts in report.values())
        return ItemVectors(np.array(plan.items.ids), tags, project(sources, fitted), encoded)


def _renumbered(tags_NT: np.ndarray, names: list[str], known: list[str]) -> np.ndarray:
    """Tags by name get the numbers that the earlier run gave them, a name that it did not know is left out. The tags
    that are left stand on the right, as padding is on the left.
    """
    if not names:
        return tags_NT
    number = {name: place for place, name in enumerate(known, start=1)}
    renumbered = np.array([0, *(number.get(name, 0) for name in names)])[tags_NT]
    return np.take_along_axis(renumbered, np.argsort(renumbered != 0, axis=1, kind="stable"), axis=1)
