"""Rows and items of the challenge's shape, for measuring speed: no signal, any length of history.

Items are drawn evenly, which is the worst case for a trainer that encodes each distinct item once.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.artifacts import Artifacts
from components.storage.files import write_json

ITEMS, TAGS, CONTENT, WIDTH = 91_718, 11_740, 128, 100
CHUNK = 100_000

# Of the challenge's histories: at least 3, quartiles 4, 6 and 9, mean 8, at most 100.
LOG_MEAN, LOG_DEVIATION, SHORTEST = 1.83, 0.62, 3


def write_inputs(folder: Path, rows: int, length: str, seed: int = 0) -> Artifacts:
    """Dataset, validation and embeddings with `rows` training rows of one history length, or of the `challenge`'s."""
    dataset, validation, embeddings = (folder / name for name in ("dataset", "validation", "embeddings"))
    for made in (dataset, validation, embeddings):
        made.mkdir(parents=True, exist_ok=True)
    write_rows(dataset / "train.parquet", rows, length, seed)
    write_rows(dataset / "valid.parquet", 2_000, length, seed + 1)
    write_rows(dataset / "test.parquet", 2_000, length, seed + 2)
    write_json(validation / "quarantine.json", {})
    _write_items(embeddings / "item_info.parquet", seed)
    return Artifacts(dataset=dataset, validation=validation, embeddings=embeddings)


def write_rows(path: Path, rows: int, length: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    writer: pq.ParquetWriter | None = None
    for first in range(0, rows, CHUNK):
        table = _chunk(rng, min(CHUNK, rows - first), length)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def _chunk(rng: np.random.Generator, rows: int, length: str) -> pa.Table:
    if length == "challenge":
        drawn = np.round(rng.lognormal(LOG_MEAN, LOG_DEVIATION, rows))
        lengths = np.clip(drawn, SHORTEST, WIDTH).astype(np.int64)
    else:
        lengths = np.full(rows, int(length))
    history = np.zeros((rows, WIDTH), dtype=np.int64)
    real = np.arange(WIDTH) >= WIDTH - lengths[:, None]
    history[real] = rng.integers(1, ITEMS, int(real.sum()))
    ends = np.arange(0, rows * WIDTH + 1, WIDTH, dtype=np.int32)
    return pa.table(
        {
            "user_id": rng.integers(1, 10**7, rows),
            "item_id": rng.integers(1, ITEMS, rows),
            "item_seq": pa.ListArray.from_arrays(ends, history.ravel()),
            "likes_level": rng.integers(1, 11, rows),
            "views_level": rng.integers(1, 11, rows),
            "label": (rng.random(rows) < 0.25).astype(np.int64),
        }
    )


def _write_items(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tags = rng.integers(0, TAGS, (ITEMS, 5))
    content = rng.normal(size=(ITEMS, CONTENT)).astype(np.float32)
    tags[0], content[0] = 0, 0.0
    columns = {"item_id": np.arange(ITEMS), "item_tags": pa.array(list(tags)), "item_emb_d128": pa.array(list(content))}
    pq.write_table(pa.table(columns), path)
