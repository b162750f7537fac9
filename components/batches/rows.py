"""The rows of one split as memory-mapped arrays: converted from parquet once, then read in place.

    records   one short record a row (16 bytes for the challenge), so that a row costs one cache miss
    history   all histories one after another, newest item last, without padding
    user      in a file of its own, because training never reads it

Position 0 of `history` holds the padding id: a gather that reaches before the start of a row's history is sent there.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset.footers import READ_ERRORS, first_line
from components.dataset.layout import HISTORY, ITEM, LABEL, USER
from components.errors import StepError
from components.process.progress import progress
from components.schema.challenge import CHALLENGE
from components.schema.encoder import Encoder, FeatureError
from components.schema.fitted import raw_column
from components.storage.files import read_json, sha256_file, sha256_json, write_json
from components.storage.verified import made_once, require

Array = npt.NDArray[Any]

FORMAT = 5  # part of the cache key: raise it when the layout below or the meaning of an id changes
ROWS_A_READ = 65_536  # rows decoded at once: bounds the memory of a conversion, whatever the parquet's row groups
NO_LABEL = 255
LONGEST_HISTORY = 255  # of a row: its length is kept in one byte
LARGEST_ID = 2**31 - 1  # stands for all larger ids as well, which four bytes can't hold: none of them is known

FILES = ("records", "history", "user")
HISTORY_TYPE, USER_TYPE = np.dtype("<i4"), np.dtype("<i8")


def record_type(encoder: Encoder) -> list[tuple[str, str] | tuple[str, str, tuple[int]]]:
    """A row as it is kept. Codes take one byte each where the largest vocabulary allows it."""
    largest = max((feature.codes - 1 for feature in encoder.row), default=0)
    code = next(kind for kind, top in (("u1", 2**8), ("<u2", 2**16), ("<u4", 2**32)) if largest < top)
    codes = sum(feature.width for feature in encoder.row if feature.codes)
    numbers = sum(not feature.codes for feature in encoder.row)
    features = [("codes", code, (codes,)), ("numbers", "<f4", (numbers,))]
    return [("start", "<i8"), ("item", "<i4"), ("length", "u1"), ("label", "u1"), *features]


@dataclass(frozen=True)
class RowStore:
    """Columns of a split. `records`, `history_flat` and `user` are read-only maps of files.

    A record holds the codes and the numbers of the row's features, as `Encoder.rows` made them.
    """

    folder: Path
    records: Array
    history_flat: Array
    user: Array
    max_item: int

    @classmethod
    def build(
        cls, parquet: Path, cache_dir: Path, exclude: Iterable[int] = (), encoder: Encoder = CHALLENGE
    ) -> "RowStore":
        """Converts `parquet` without the row numbers in `exclude`, or opens what an earlier call converted."""
        if not parquet.is_file():
            raise StepError(f"{parquet} is missing: the dataset must hold it, see the data contract in the README")
        excluded = np.unique(np.fromiter(exclude, dtype=np.int64))
        key = sha256_json([FORMAT, sha256_file(parquet), excluded.tolist(), encoder.to_json()["row"]])[:32]
        folder = cache_dir / key
        made_once(folder, lambda scratch: _convert(parquet, scratch, excluded, encoder))
        return cls._mapped(folder)

    @classmethod
    def open(cls, folder: Path) -> "RowStore":
        require(folder, "run the command again; it converts the rows anew")
        return cls._mapped(folder)

    @classmethod
    def _mapped(cls, folder: Path) -> "RowStore":
        meta = read_json(folder / "meta.json")
        record: np.dtype[Any] = np.dtype([(name, kind, *map(tuple, shape)) for name, kind, *shape in meta["record"]])
        kinds: dict[str, np.dtype[Any]] = dict(zip(FILES, (record, HISTORY_TYPE, USER_TYPE), strict=True))
        records, history, user = (_map(folder / name, kind) for name, kind in kinds.items())
        return cls(folder, records, history, user, meta["max_item"])

    def __len__(self) -> int:
        return len(self.records)

    @property
    def item(self) -> Array:
        return np.asarray(self.records["item"])

    @property
    def codes(self) -> Array:
        return np.asarray(self.records["codes"])

    @property
    def numbers(self) -> Array:
        return np.asarray(self.records["numbers"])

    @property
    def lengths(self) -> Array:
        """Real items in each history."""
        return np.asarray(self.records["length"])

    @property
    def has_labels(self) -> bool:
        return len(self) > 0 and int(self.records["label"][0]) != NO_LABEL

    @property
    def label(self) -> Array:
        if not self.has_labels:
            raise StepError(f"these rows have no {LABEL!r} column: only a labelled split can be learned or measured on")
        return np.asarray(self.records["label"])

    def history(self, length: int, rows: Array | None = None) -> Array:
        """The newest `length` items of each row, oldest first, padded with 0 on the left."""
        return gather_history(self.history_flat, self.records if rows is None else self.records[rows], length)


def gather_history(flat: Array, records: Array, length: int) -> Array:
    start = records["start"]
    positions = (start + records["length"] - length)[:, None] + np.arange(length)
    positions[positions < start[:, None]] = 0
    gathered: Array = flat[positions]
    return gathered


def names_item(known: Array, ids: Array) -> Array:
    """Whether each id names an item; `known` says so by id, and ids beyond its end name none."""
    inside = (ids >= 0) & (ids < len(known))
    return np.asarray(inside & known[np.where(inside, ids, 0)])


def known_histories(flat: Array, records: Array, known: Array) -> tuple[Array, Array]:
    """(flat, records) of these rows without the items that `known` does not mark.

    They are removed from histories, and as a target they become the padding item: a catalogue has items that are newer
    than the model.
    """
    lengths = records["length"].astype(np.int64)
    ends = np.cumsum(lengths)
    within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
    history = flat[np.repeat(records["start"], lengths) + within]
    kept = names_item(known, history)
    before = np.concatenate([[0], np.cumsum(kept)])
    rewritten = records.copy()
    rewritten["start"] = 1 + before[ends - lengths]
    rewritten["length"] = before[ends] - before[ends - lengths]
    rewritten["item"] = np.where(names_item(known, records["item"]), records["item"], 0)
    return np.concatenate([np.zeros(1, flat.dtype), history[kept]]), rewritten


def _map(path: Path, dtype: np.dtype[Any]) -> Array:
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.zeros(0, dtype)
    return np.asarray(np.memmap(path, dtype, mode="r"))


def _convert(parquet: Path, folder: Path, excluded: Array, encoder: Encoder) -> None:
    try:
        max_item = _write_columns(parquet, folder, excluded, encoder)
        write_json(folder / "meta.json", {"max_item": max_item, "format": FORMAT, "record": record_type(encoder)})
    except OSError as error:
        raise StepError(
            f"{folder.parent}: the rows could not be written ({error}); free space or choose another cache"
        ) from error


def _write_columns(parquet: Path, folder: Path, excluded: Array, encoder: Encoder) -> int:
    file = pq.ParquetFile(parquet)
    required = [USER, ITEM, HISTORY, *(feature.name for feature in encoder.row)]
    missing = [name for name in required if name not in file.schema_arrow.names]
    if missing:
        raise StepError(f"{parquet} has no column {missing[0]!r}: it must hold {', '.join(required)}")
    columns = [*required, *([LABEL] if LABEL in file.schema_arrow.names else [])]
    max_item, end_of_history = 0, 1
    with (
        (folder / "records").open("wb") as records_file,
        (folder / "history").open("wb") as history_file,
        (folder / "user").open("wb") as user_file,
        progress(f"convert {parquet.name}", file.metadata.num_rows, "rows") as bar,
    ):
        np.zeros(1, HISTORY_TYPE).tofile(history_file)
        for numbers, table in _tables(file, parquet, columns, excluded):
            records, history = _columns(table, numbers, end_of_history, parquet, encoder)
            records.tofile(records_file)
            history.tofile(history_file)
            _numbers(table, USER, parquet).astype(USER_TYPE).tofile(user_file)
            end_of_history += len(history)
            max_item = max(max_item, int(records["item"].max(initial=0)), int(history.max(initial=0)))
            bar.advance(table.num_rows)
        for written in (records_file, history_file, user_file):
            written.flush()
            os.fsync(written.fileno())
    return max_item


def _tables(
    file: pq.ParquetFile, parquet: Path, columns: list[str], excluded: Array
) -> Iterator[tuple[Array, pa.Table]]:
    """The rows that are kept, with their numbers in the file, one read at a time."""
    first_row = 0
    batches = file.iter_batches(batch_size=ROWS_A_READ, columns=columns, use_threads=False)
    while (batch := _next_batch(batches, parquet)) is not None:
        table = pa.Table.from_batches([batch]).combine_chunks()
        rows = np.arange(first_row, first_row + table.num_rows)
        first_row += table.num_rows
        keep = np.isin(rows, excluded, assume_unique=True, invert=True)
        yield rows[keep], table if keep.all() else table.filter(pa.array(keep)).combine_chunks()


def _next_batch(batches: Iterator[pa.RecordBatch], parquet: Path) -> pa.RecordBatch | None:
    try:
        return next(batches, None)
    except READ_ERRORS as error:
        raise StepError(f"{parquet} is damaged inside ({first_line(error)}): write or copy it again") from None


def _columns(
    table: pa.Table, numbers: Array, end_of_history: int, parquet: Path, encoder: Encoder
) -> tuple[Array, Array]:
    lists = table.column(HISTORY).chunk(0) if table.num_rows else pa.array([], pa.list_(pa.int64()))
    if lists.null_count:
        raise StepError(f"{parquet}: column {HISTORY!r} holds nulls; an empty history is an empty list")
    flat = lists.flatten()
    if flat.null_count:
        raise StepError(f"{parquet}: column {HISTORY!r} holds null items; padding is 0")
    values = flat.to_numpy(zero_copy_only=False)
    real = values != 0
    ends = np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy(zero_copy_only=False))])
    negative = np.flatnonzero(values < 0)
    if len(negative):
        row = numbers[np.searchsorted(ends, negative[0], side="right") - 1]
        raise StepError(
            f"{parquet}: column {HISTORY!r}, row {row}: item {values[negative[0]]}; ids are whole numbers from 0 on, "
            "and 0 is padding: correct the row or leave it out"
        )
    lengths = np.diff(np.concatenate([[0], np.cumsum(real)])[ends])
    if lengths.max(initial=0) > LONGEST_HISTORY:
        raise StepError(f"{parquet}: a history of {lengths.max()} items; the contract allows 100")
    records = np.zeros(table.num_rows, record_type(encoder))
    records["start"] = end_of_history + np.cumsum(lengths) - lengths
    records["length"] = lengths
    records["label"] = NO_LABEL
    records["item"] = np.minimum(_numbers(table, ITEM, parquet, 2**63 - 1), LARGEST_ID)
    if LABEL in table.column_names:
        records["label"] = _numbers(table, LABEL, parquet, 1)
    raw = {feature.name: raw_column(table.column(feature.name)) for feature in encoder.row}
    try:
        records["codes"], records["numbers"] = encoder.rows(raw, table.num_rows)
    except FeatureError as error:
        raise StepError(f"{parquet}: {error.at(int(numbers[error.row]))}") from None
    return records, np.minimum(values[real], np.int64(LARGEST_ID)).astype(HISTORY_TYPE)


def _numbers(table: pa.Table, column: str, parquet: Path, top: int | None = None) -> Array:
    values = table.column(column)
    if values.null_count:
        raise StepError(
            f"{parquet}: column {column!r} holds {values.null_count} nulls; validation should have stopped it"
        )
    numbers: Array = values.to_numpy()
    if top is not None and len(numbers) and not (numbers.min() >= 0 and numbers.max() <= top):
        raise StepError(
            f"{parquet}: column {column!r} runs from {numbers.min()} to {numbers.max()}; allowed is 0 to {top}"
        )
    return numbers
