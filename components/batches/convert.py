"""Converts the rows of a parquet file to the files of a row store; rows.py says what each of them holds."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.batches.own_ids import in_item_numbers
from components.dataset.footers import READ_ERRORS, first_line, is_text
from components.dataset.layout import HISTORY, ITEM, LABEL, TIME, USER, WEIGHT
from components.errors import StepError
from components.process.progress import progress
from components.schema.encoder import Encoder, FeatureError, FittedFeature, ItemIds, side_by_side
from components.schema.fitted import encode_column
from components.storage.files import write_json

Array = npt.NDArray[Any]

FORMAT = 7  # part of the cache key: raise it when the layout below or the meaning of an id changes
ROWS_A_READ = 65_536  # rows decoded at once: bounds the memory of a conversion, whatever the parquet's row groups
NO_LABEL = 255
LONGEST_HISTORY = 255  # of a row: its length is kept in one byte
LARGEST_ID = 2**31 - 1  # stands for all larger ids as well, which four bytes can't hold: none of them is known

HISTORY_TYPE, USER_TYPE, TIME_TYPE = np.dtype("<i4"), np.dtype("<i8"), np.dtype("<i8")

Fields = list[tuple[str, str] | tuple[str, str, tuple[int]]]


def record_type(encoder: Encoder, weighted: bool = False) -> Fields:
    """A row as it is kept."""
    weight: Fields = [("weight", "<f4")] if weighted else []
    return [("start", "<i8"), ("item", "<i4"), ("length", "u1"), ("label", "u1"), *weight, *feature_type(encoder.row)]


def feature_type(features: Sequence[FittedFeature]) -> Fields:
    """Codes take one byte each where the largest vocabulary allows it."""
    largest = max((feature.codes - 1 for feature in features), default=0)
    code = next(kind for kind, top in (("u1", 2**8), ("<u2", 2**16), ("<u4", 2**32)) if largest < top)
    codes = sum(feature.width for feature in features if feature.codes)
    numbers = sum(feature.width for feature in features if not feature.codes)
    return [("codes", code, (codes,)), ("numbers", "<f4", (numbers,))]


def convert(parquet: Path, folder: Path, excluded: Array, encoder: Encoder, ids: ItemIds) -> None:
    try:
        found = _write_columns(parquet, folder, excluded, encoder, ids)
        event = feature_type(encoder.event) if encoder.event else None
        record = record_type(encoder, found["mean_weight"] is not None)
        write_json(folder / "meta.json", {**found, "format": FORMAT, "record": record, "event": event})
    except OSError as error:
        raise StepError(
            f"{folder.parent}: the rows could not be written ({error}); free space or choose another cache"
        ) from error


def _write_columns(parquet: Path, folder: Path, excluded: Array, encoder: Encoder, ids: ItemIds) -> dict[str, Any]:
    """The highest item, the mean weight if the rows have weights, and whether they have times."""
    file = pq.ParquetFile(parquet)
    required = [USER, ITEM, HISTORY, *(feature.name for feature in (*encoder.row, *encoder.event))]
    missing = [name for name in required if name not in file.schema_arrow.names]
    if missing:
        raise StepError(f"{parquet} has no column {missing[0]!r}: it must hold {', '.join(required)}")
    columns = [*required, *(name for name in (LABEL, WEIGHT, TIME) if name in file.schema_arrow.names)]
    max_item, end_of_history, rows, weight = 0, 1, 0, 0.0
    with (
        (folder / "records").open("wb") as records_file,
        (folder / "history").open("wb") as history_file,
        (folder / "user").open("wb") as user_file,
        (folder / "time").open("wb") as time_file,
        (folder / "events").open("wb") as events_file,
        progress(f"convert {parquet.name}", file.metadata.num_rows, "rows") as bar,
    ):
        np.zeros(1, HISTORY_TYPE).tofile(history_file)
        np.zeros(1 if encoder.event else 0, feature_type(encoder.event)).tofile(events_file)
        for numbers, named in _tables(file, parquet, columns, excluded):
            table = in_item_numbers(named, ids, parquet)
            records, history = _columns(table, numbers, end_of_history, parquet, encoder)
            records.tofile(records_file)
            history.tofile(history_file)
            if encoder.event:
                _events(table, numbers, len(history), parquet, encoder).tofile(events_file)
            _users(table, parquet).astype(USER_TYPE).tofile(user_file)
            if TIME in columns:
                _numbers(table, TIME, parquet).astype(TIME_TYPE).tofile(time_file)
            end_of_history += len(history)
            max_item = max(max_item, int(records["item"].max(initial=0)), int(history.max(initial=0)))
            rows += len(records)
            weight += float(records["weight"].sum(dtype=np.float64)) if WEIGHT in columns else 0.0
            bar.advance(table.num_rows)
        for written in (records_file, history_file, user_file, time_file, events_file):
            written.flush()
            os.fsync(written.fileno())
    return {
        "max_item": max_item,
        "mean_weight": weight / max(1, rows) if WEIGHT in columns else None,
        "timed": TIME in columns,
    }


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
    records = np.zeros(table.num_rows, record_type(encoder, WEIGHT in table.column_names))
    records["start"] = end_of_history + np.cumsum(lengths) - lengths
    records["length"] = lengths
    records["label"] = NO_LABEL
    records["item"] = np.minimum(_numbers(table, ITEM, parquet, 2**63 - 1), LARGEST_ID)
    if LABEL in table.column_names:
        records["label"] = _numbers(table, LABEL, parquet, 1)
    if WEIGHT in table.column_names:
        records["weight"] = _weights(table, numbers, parquet)
    try:
        encoded = [encode_column(feature, table.column(feature.name)) for feature in encoder.row]
        records["codes"], records["numbers"] = side_by_side(encoded, table.num_rows)
    except FeatureError as error:
        raise StepError(f"{parquet}: {error.at(int(numbers[error.row]))}") from None
    return records, np.minimum(values[real], np.int64(LARGEST_ID)).astype(HISTORY_TYPE)


def _weights(table: pa.Table, numbers: Array, parquet: Path) -> Array:
    weights = np.asarray(table.column(WEIGHT).to_numpy(), np.float64)  # a null becomes NaN
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights > 0)))
    if len(wrong):
        row = int(wrong[0])
        raise StepError(f"{parquet}: {WEIGHT}, row {numbers[row]}: {weights[row]}; must be a number above 0")
    return weights


def _events(table: pa.Table, numbers: Array, events: int, parquet: Path, encoder: Encoder) -> Array:
    """What `encoder.events` makes of each row, for whole columns."""
    history = table.column(HISTORY).combine_chunks()
    lengths = history.value_lengths().to_numpy(zero_copy_only=False)
    real = history.flatten().to_numpy(zero_copy_only=False) != 0
    row_of_event = np.repeat(numbers, lengths)[real]
    encoded = []
    for feature in encoder.event:
        lists = table.column(feature.name).combine_chunks()
        given = pc.fill_null(lists.value_lengths(), -1).to_numpy(zero_copy_only=False)
        if (wrong := np.flatnonzero(given != lengths)).size:
            row = int(wrong[0])
            allowed = f"a list with a value for each of the {lengths[row]} items of the history"
            raise StepError(f"{parquet}: {FeatureError(feature.name, int(numbers[row]), lists[row].as_py(), allowed)}")
        try:
            encoded.append(encode_column(feature, pa.chunked_array([lists.flatten().filter(pa.array(real))])))
        except FeatureError as error:
            raise StepError(f"{parquet}: {error.at(int(row_of_event[error.row]))}") from None
    found = np.zeros(events, feature_type(encoder.event))
    found["codes"], found["numbers"] = side_by_side(encoded, events)
    return found


def _users(table: pa.Table, parquet: Path) -> Array:
    """Rows to score may name users by texts, for which a hash stands: no score depends on it."""
    if is_text(table.schema.field(USER).type):
        hashed: Array = pd.util.hash_array(table.column(USER).to_numpy()).view(np.int64)
        return hashed
    return _numbers(table, USER, parquet)


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
