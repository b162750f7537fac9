"""A tiny training's inputs, for the tests of the train step: random clicks whose label follows the target's id."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.artifacts import Artifacts
from components.train.config import Recipe, TrainConfig
from components.train.job import Job, prepare_job
from components.train.snapshots import Snapshots
from model.config import ModelConfig

ITEMS, TAGS, CONTENT = 50, 9, 6
MODEL = ModelConfig(
    embedding_dim=4,
    content_dim=4,
    history_length=12,
    layers=1,
    ffn_dim=8,
    last_k=3,
    attention_widths=(8,),
    deep_widths=(16,),
    head_widths=(8,),
)
TRAIN = TrainConfig(batch_size=64, learning_rate=5e-3, max_epochs=2, device="cpu")


def recipe(model: ModelConfig = MODEL, **train: object) -> Recipe:
    return Recipe(preset="tiny", model=model, train=replace(TRAIN, **train))  # type: ignore[arg-type]


def write_rows(path: Path, rows: int, seed: int = 0, longest: int = 12, items: int = ITEMS) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, longest + 1, rows)
    history = np.zeros((rows, longest), dtype=np.int64)
    history[np.arange(longest) >= longest - lengths[:, None]] = rng.integers(1, items, lengths.sum())
    item = rng.integers(1, items, rows)
    label = (rng.random(rows) < np.where(item % 2, 0.7, 0.15)).astype(np.int64)
    columns = {
        "user_id": rng.integers(1, 10**12, rows),
        "item_id": item,
        "item_seq": pa.array(list(history)),
        "likes_level": rng.integers(1, 11, rows),
        "views_level": rng.integers(1, 11, rows),
        "label": label,
    }
    pq.write_table(pa.table(columns), path)


def write_inputs(folder: Path, rows: int = 700) -> Artifacts:
    """Dataset, validation and embeddings, as the steps before hand them over."""
    dataset, validation, embeddings = folder / "dataset", folder / "validation", folder / "embeddings"
    for made in (dataset, validation, embeddings):
        made.mkdir(parents=True)
    write_rows(dataset / "train.parquet", rows, seed=1)
    write_rows(dataset / "valid.parquet", 203, seed=2)
    write_rows(dataset / "test.parquet", 20, seed=4)
    (validation / "quarantine.json").write_text(json.dumps({"train": [3, 5], "valid": [], "test": []}))
    rng = np.random.default_rng(3)
    ids = np.arange(ITEMS)
    levels = rng.integers(1, 11, ITEMS)
    pq.write_table(
        pa.table({"item_id": ids[1:], "likes_level": levels[1:], "views_level": levels[:0:-1]}),
        dataset / "item_feature.parquet",
    )
    tags, content = rng.integers(0, TAGS, (ITEMS, 5)), rng.normal(size=(ITEMS, CONTENT)).astype(np.float32)
    tags[0], content[0] = 0, 0
    pq.write_table(
        pa.table({"item_id": ids, "item_tags": pa.array(list(tags)), "item_emb_d128": pa.array(list(content))}),
        embeddings / "item_info.parquet",
    )
    return Artifacts(dataset=dataset, validation=validation, embeddings=embeddings)


def written_job(inputs: Artifacts, of: Recipe, work: Path) -> Job:
    """A job that a worker can take up, as the train step hands it over."""
    job = prepare_job(inputs, of, work)
    job.write()
    return job


def newest_of(snapshots: Snapshots) -> dict[str, Any] | None:
    """What the first process of a training would continue from."""
    name = snapshots.newest()
    return snapshots.read(name) if name else None
