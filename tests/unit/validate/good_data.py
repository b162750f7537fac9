"""A tiny dataset with every part of the data contract in it, optional ones too, and ways to damage it."""

import dataclasses
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.dataset import layout
from components.dataset.sample.spec import SIZES
from components.dataset.sample.write import write_sample
from components.storage.files import write_json
from components.validate import expectations
from components.validate.config import ValidatePolicy
from components.validate.step import validate

Ints = npt.NDArray[np.int64]


def write_good_data(folder: Path) -> Path:
    """The sample writes covers, or columns of vectors, or item_info: the same items thrice, so put together."""
    parts = {}
    for content in ("images", "columns", "item_info"):
        parts[content] = folder / content
        write_sample(parts[content], dataclasses.replace(SIZES["tiny"], content=content))
    shutil.copy(layout.item_feature_path(parts["columns"]), parts["images"])
    shutil.copy(layout.item_info_path(parts["item_info"]), parts["images"])
    return parts["images"]


def write_no_champion(folder: Path) -> Path:
    write_json(folder / "champion.json", {"version": None})
    return folder


def write_champion(folder: Path, statistics: Path) -> Path:
    write_json(folder / "champion.json", {"version": "7"})
    (folder / "package").mkdir(exist_ok=True)
    shutil.copy(statistics, folder / "package" / "statistics.json")
    return folder


@dataclasses.dataclass(frozen=True)
class Good:
    data: Path
    champion: Path  # trained on this very data
    no_champion: Path


def write_all(folder: Path) -> Good:
    data = write_good_data(folder)
    for name in ("none", "champion"):
        (folder / name).mkdir()
    none = write_no_champion(folder / "none")
    validate(data, none, ValidatePolicy(), folder / "out")
    return Good(data, write_champion(folder / "champion", folder / "out" / "statistics.json"), none)


@contextmanager
def tables_judged_once() -> Iterator[None]:
    """Damage leaves most tables as they were: Great Expectations, two thirds of the time, judges each one once."""
    known: dict[bytes, Any] = {}
    judge_table = expectations._judge_table

    def once(gx: Any, context: Any, source: Any, frame: pd.DataFrame, *rest: Any) -> Any:
        content = pickle.dumps((frame, rest))
        if content not in known:
            known[content] = judge_table(gx, context, source, frame, *rest)
        return known[content]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expectations, "_judge_table", once)
        yield


def edit(file: str, change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    """The damage that rewrites one parquet file."""

    def damage(data: Path) -> None:
        path = data / f"{file}.parquet"
        pq.write_table(change(pq.read_table(path)), path, row_group_size=500)

    return damage


def with_column(table: pa.Table, name: str, values: object) -> pa.Table:
    column = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    if name not in table.column_names:
        return table.append_column(name, column)
    return table.set_column(table.column_names.index(name), name, column)


def ints(table: pa.Table, name: str) -> Ints:
    return np.array(table.column(name).to_numpy(), dtype=np.int64)


def histories(table: pa.Table) -> Ints:
    """[rows, 100]: the sample pads every history to the same width."""
    flat = table.column(layout.HISTORY).combine_chunks().flatten().to_numpy()
    return np.array(flat, dtype=np.int64).reshape(table.num_rows, -1)


def with_histories(table: pa.Table, values: Ints) -> pa.Table:
    return with_column(table, layout.HISTORY, as_lists(values))


def as_lists(values: npt.NDArray[np.int64] | npt.NDArray[np.float32]) -> pa.Array:
    rows, width = values.shape
    offsets = pa.array(np.arange(rows + 1) * width, pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1)))


def shuffled(table: pa.Table, names: list[str], seed: int = 3) -> pa.Table:
    """Hands the values of some columns to other rows."""
    order = np.random.default_rng(seed).permutation(table.num_rows)
    for name in names:
        table = with_column(table, name, table.column(name).take(order).combine_chunks())
    return table
