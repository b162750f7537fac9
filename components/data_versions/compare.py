"""What changed between two revisions of the data: sizes, label rate, items, and how far the features drifted.

The drift measures are those of the validate step, on train.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset.layout import HISTORY, ITEM, LABEL, LEVELS, LIKES, MAX_HISTORY, SPLITS, USER, VIEWS
from components.errors import StepError
from components.ingest.step import fetch_files
from components.validate.drift import ks, psi

_FILES = (*(f"{split}.parquet" for split in SPLITS), "item_feature.parquet")


@dataclass(frozen=True)
class Change:
    """One line of the comparison. `measure` says what `distance` is: PSI, KS or a share; without it, a plain count."""

    what: str
    before: float | None
    after: float | None
    measure: str = ""
    distance: float | None = None


@dataclass(frozen=True)
class _Split:
    rows: int
    users: int
    items: npt.NDArray[np.int64]  # distinct targets
    label_rate: float | None
    lengths: list[int]  # histogram of history lengths
    levels: dict[str, list[int]]  # of the challenge's layout: histograms


def compare(repository: str, before: str, after: str, cache: Path) -> list[Change]:
    old, new = (_read(fetch_files(repository, revision, _FILES, cache), revision) for revision in (before, after))
    changes = []
    for split in SPLITS:
        a, b = old[split], new[split]
        changes += [
            Change(f"{split} rows", a.rows, b.rows),
            Change(f"{split} users", a.users, b.users),
            Change(f"{split} items", len(a.items), len(b.items)),
            Change(f"{split} label rate", a.label_rate, b.label_rate),
        ]
    changes.append(Change("items in item_feature", len(old["items"]), len(new["items"])))
    a, b = old["train"], new["train"]
    fresh = float(np.isin(b.items, a.items, invert=True).mean()) if len(b.items) else 0.0
    lengths = (_mean(a.lengths), _mean(b.lengths))
    return [
        *changes,
        Change("train items not there before", None, None, "share", fresh),
        Change("train history length", *lengths, "KS", ks(a.lengths, b.lengths)),
        *(
            Change(
                f"train {name.replace('_', ' ')}",
                _mean(a.levels[name]),
                _mean(b.levels[name]),
                "PSI",
                psi(a.levels[name], b.levels[name]),
            )
            for name in a.levels
            if name in b.levels
        ),
    ]


def _read(files: dict[str, Path], revision: str) -> dict[str, Any]:
    try:
        read: dict[str, Any] = {split: _read_split(files[f"{split}.parquet"]) for split in SPLITS}
        read["items"] = np.unique(pq.read_table(files["item_feature.parquet"], columns=[ITEM])[ITEM].to_numpy())
    except (pa.ArrowException, KeyError, OSError) as error:
        raise StepError(f"the data of {revision} can't be read: {' '.join(str(error).split())}") from None
    return read


def _read_split(path: Path) -> _Split:
    """A row group at a time: 3.6 million rows with their histories are gigabytes."""
    users, items, clicks, rows = [], [], 0, 0
    lengths = np.zeros(MAX_HISTORY + 1, dtype=np.int64)
    with pq.ParquetFile(path) as file:
        labelled = LABEL in file.schema_arrow.names
        kinds = {field.name: field.type for field in file.schema_arrow}
        levels = {
            name: np.zeros(LEVELS, dtype=np.int64)
            for name in (LIKES, VIEWS)
            if pa.types.is_integer(kinds.get(name, pa.null()))
        }
        columns = [USER, ITEM, HISTORY, *levels, *([LABEL] if labelled else [])]
        for group in range(file.metadata.num_row_groups):
            table = file.read_row_group(group, columns=columns)
            rows += len(table)
            users.append(np.unique(table[USER].to_numpy()))
            items.append(np.unique(table[ITEM].to_numpy()))
            clicks += int(table[LABEL].to_numpy().sum()) if labelled else 0
            lengths += _histogram(_lengths(table[HISTORY].combine_chunks()), len(lengths))
            for name, counts in levels.items():
                counts += _histogram(table[name].to_numpy(), LEVELS)
    return _Split(
        rows=rows,
        users=len(np.unique(np.concatenate(users))) if users else 0,
        items=np.unique(np.concatenate(items)) if items else np.empty(0, dtype=np.int64),
        label_rate=clicks / rows if labelled and rows else None,
        lengths=lengths.tolist(),
        levels={name: counts.tolist() for name, counts in levels.items()},
    )


def _lengths(histories: Any) -> npt.NDArray[np.int64]:
    """How many entries of each list are not padding."""
    chunks = histories.chunks if isinstance(histories, pa.ChunkedArray) else [histories]
    counts = []
    for chunk in chunks:
        offsets = chunk.offsets.to_numpy().astype(np.int64)
        filled = np.concatenate([[0], np.cumsum(chunk.values.to_numpy(zero_copy_only=False) != 0)])
        counts.append(filled[offsets[1:]] - filled[offsets[:-1]])
    return np.concatenate(counts) if counts else np.empty(0, dtype=np.int64)


def _histogram(values: npt.NDArray[Any], size: int) -> npt.NDArray[np.int64]:
    return np.bincount(np.clip(values.astype(np.int64), 0, size - 1), minlength=size)


def _mean(counts: list[int]) -> float:
    return float(np.average(np.arange(len(counts)), weights=counts)) if sum(counts) else 0.0
