"""A champion that was trained on the rows of a first night, and the data of a second night, which hold more of all."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.artifacts import Artifacts
from components.packages.format import RANKER
from components.storage.files import write_json
from components.train.config import Recipe
from components.train.step import train
from tests.tiny_training import CONTENT, ITEMS, recipe, write_inputs, write_rows

NEW_ITEMS, OLD_ROWS, NEW_ROWS = 8, 700, 160
FIRST_NIGHT, SECOND_NIGHT = 1_000_000, 1_086_400  # the latest time of each, in seconds


@dataclass(frozen=True)
class Nights:
    first: Artifacts
    second: Artifacts  # with the champion of the first


def two_nights(folder: Path, of: Recipe | None = None) -> Nights:
    first = write_inputs(folder / "first", OLD_ROWS)
    _add_times(first, FIRST_NIGHT)
    second = _later(first, folder / "second")
    train(first, of or recipe(), folder / "first-work", folder / "trained")
    return Nights(first, replace(second, champion=as_champion(folder / "trained", folder / "champion")))


def as_champion(trained: Path, folder: Path, version: str = "3") -> Path:
    """A training's results as the step fetch-champion would hand them over, as far as training reads them."""
    (folder / "package").mkdir(parents=True)
    shutil.copyfile(trained / "model.safetensors", folder / "package" / RANKER)
    write_json(folder / "champion.json", {"version": version})
    return folder


def change(path: Path, **columns: Any) -> None:
    table = pq.read_table(path)
    for name, values in columns.items():
        table = table.drop_columns([name] if name in table.column_names else []).append_column(name, pa.array(values))
    pq.write_table(table, path)


def _add_times(made: Artifacts, latest: int) -> None:
    rows = pq.read_metadata(made.dataset / "train.parquet").num_rows
    change(made.dataset / "train.parquet", time=np.arange(latest - rows + 1, latest + 1))


def _later(first: Artifacts, folder: Path) -> Artifacts:
    dataset, embeddings = folder / "dataset", folder / "embeddings"
    shutil.copytree(first.dataset, dataset)
    shutil.copytree(first.embeddings, embeddings)
    write_rows(folder / "new.parquet", NEW_ROWS, seed=5, items=ITEMS + NEW_ITEMS)
    change(folder / "new.parquet", time=np.arange(SECOND_NIGHT - NEW_ROWS + 1, SECOND_NIGHT + 1))
    new, old = pq.read_table(folder / "new.parquet"), pq.read_table(dataset / "train.parquet")
    pq.write_table(pa.concat_tables([old, new.select(old.column_names)]), dataset / "train.parquet")
    rng, ids = np.random.default_rng(7), np.arange(ITEMS, ITEMS + NEW_ITEMS)
    levels = rng.integers(1, 11, (NEW_ITEMS, 2))
    _append(dataset / "item_feature.parquet", item_id=ids, likes_level=levels[:, 0], views_level=levels[:, 1])
    content = list(rng.normal(size=(NEW_ITEMS, CONTENT)).astype(np.float32))
    tags = list(rng.integers(1, 12, (NEW_ITEMS, 5)))  # some tags are new too
    _append(embeddings / "item_info.parquet", item_id=ids, item_tags=pa.array(tags), item_emb_d128=pa.array(content))
    return replace(first, dataset=dataset, embeddings=embeddings)


def _append(path: Path, **columns: Any) -> None:
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, pa.table(columns).cast(table.schema)]), path)
