"""An item_info that comes with the data: it is checked against the contract and then used as it is."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.dataset.images import ImageFolder
from components.dataset.item_ids import pack_ids
from components.dataset.item_info import write_item_info
from components.dataset.layout import ITEM, ITEM_EMBEDDING, MAX_TAGS, TAGS, TITLE, item_feature_path, item_info_path
from components.embed.assemble import show_neighbours
from components.embed.config import EmbedConfig
from components.embed.contact_sheet import Captions
from components.embed.projection import Projection
from components.embed.quality import CANDIDATES, spread, view
from components.errors import StepError
from components.storage.files import sha256_file, write_json
from model.checks import all_finite


def pass_through(dataset: Path, config: EmbedConfig, out: Path) -> dict[str, Any]:
    """The data's own item_info, checked; its projection is the identity, so that the step's files are all there."""
    tags, vectors = read_existing(dataset)
    out.mkdir(parents=True, exist_ok=True)
    write_item_info(out / "item_info.parquet", np.arange(len(tags)), tags, vectors, len(tags) - 1)
    width = vectors.shape[1]
    facts = {"fusion": "none", "standardise": "none", "inputs": [], "fitted_on": 0, "explained_variance": 1.0}
    projection = Projection(np.zeros(width), np.ones(width), None, facts)
    projection.save(out / "projection.npz")
    rows = spread(np.arange(1, len(tags)), CANDIDATES)
    views = [view("both", vectors[rows], vectors[rows].any(1))]
    manifest: dict[str, Any] = {
        "source": "existing",
        "items": len(tags) - 1,
        "item_ids": pack_ids(item_ids(dataset, len(tags))),
        "rows": len(tags),
        "dimension": width,
        "encoders": {},
        "bad_input": {
            "policy": config.bad_input,
            "limit": config.bad_input_limit,
            "items": 0,
            "share": 0.0,
            "causes": {},
            "notes": {},
        },
        "imputed": {},
        "imputed_counts": {},
        "same_as_mean": (np.flatnonzero(~vectors[1:].any(1)) + 1).tolist(),
        "projection": {"origin": "existing", "policy": config.projection, "hash": projection.hash, **facts},
        "tag_names": [],
        "neighbours": show_neighbours(views, tags[rows], _captions(dataset, rows), out),
        "item_info_sha256": sha256_file(out / "item_info.parquet"),
        "cache": {},
        "shards": 1,
        "damaged_shards": [],
        "seconds": {},
    }
    write_json(out / "manifest.json", manifest)
    return manifest


def item_ids(dataset: Path, rows: int) -> np.ndarray:
    """The ids that item_feature lists; without that file, the id of every row but the padding."""
    path = item_feature_path(dataset)
    if not path.exists():
        return np.arange(1, rows)
    ids = np.unique(pq.read_table(path, columns=[ITEM]).column(ITEM).drop_null().to_numpy().astype(np.int64))
    return ids[(ids > 0) & (ids < rows)]


def _captions(dataset: Path, rows: np.ndarray) -> Captions:
    titles: dict[int, str] = {}
    path = item_feature_path(dataset)
    if path.exists() and TITLE in pq.read_schema(path).names:
        table = pq.read_table(path, columns=[ITEM, TITLE])
        titles = dict(zip(table.column(ITEM).to_pylist(), table.column(TITLE).to_pylist(), strict=True))
    return Captions(rows.tolist(), [titles.get(int(row)) or "" for row in rows], ImageFolder(dataset))


def read_existing(dataset: Path) -> tuple[np.ndarray, np.ndarray]:
    """Tags (N × 5) and embeddings (N × D) of a file that keeps the contract; row i is item i."""
    path = item_info_path(dataset)
    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise StepError(f"{path} is not a readable parquet file ({error}): fetch it again") from None
    missing = [name for name in (ITEM, TAGS, ITEM_EMBEDDING) if name not in table.column_names]
    if missing:
        raise StepError(f"{path} has no column {missing[0]}; it has {', '.join(table.column_names)}")
    ids = table.column(ITEM).to_numpy()
    wrong = np.flatnonzero(ids != np.arange(len(ids)))
    if len(ids) < 2 or len(wrong):
        row = int(wrong[0]) if len(wrong) else 0
        raise StepError(f"{path}: row {row} holds item {ids[row] if len(ids) else 'none'}; row i must hold item i")
    tags = _matrix(table, TAGS, path).astype(np.int64, copy=False)
    if tags.shape[1] != MAX_TAGS:
        raise StepError(
            f"{path}: {TAGS} has {tags.shape[1]} entries a row; must have {MAX_TAGS}, padded with 0 on the left"
        )
    vectors = _matrix(table, ITEM_EMBEDDING, path).astype(np.float32, copy=False)
    if not all_finite(vectors):
        row = int(np.flatnonzero(~np.isfinite(vectors).all(1))[0])
        raise StepError(f"{path}: the embedding of item {row} is not finite")
    if vectors[0].any() or tags[0].any():
        raise StepError(f"{path}: row 0 is the padding and must be all zero")
    return tags, vectors


def _matrix(table: pa.Table, name: str, path: Path) -> np.ndarray:
    column = table.column(name).combine_chunks()
    lengths = np.asarray(pc.list_value_length(column).fill_null(-1))
    if len(set(lengths.tolist())) != 1 or column.flatten().null_count:
        row = int(np.flatnonzero(lengths != lengths[0])[0]) if len(set(lengths.tolist())) != 1 else 0
        raise StepError(f"{path}: {name} of item {row} is null or of another length than the others ({lengths[0]})")
    values: np.ndarray = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), int(lengths[0]))
