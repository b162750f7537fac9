"""Reading parquet that may be broken: what is wrong with a file is a finding, never a traceback."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# What pyarrow raises on truncated, overwritten or crafted bytes: its own errors (some are ValueError or KeyError as
# well), OSError from pages, UnicodeDecodeError from names, MemoryError and OverflowError from absurd sizes.
READ_ERRORS = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, MemoryError, OverflowError)

BATCH_ROWS = 65_536  # x 100 positions x 8 bytes: 52 MB of history at a time, whatever the row groups are

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def is_integer(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind))


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_integers(kind: pa.DataType) -> bool:
    return _is_list(kind) and is_integer(kind.value_type)


def is_tags(kind: pa.DataType) -> bool:
    return _is_list(kind) and (is_integer(kind.value_type) or is_text(kind.value_type))


def is_vector(kind: pa.DataType) -> bool:
    return _is_list(kind) and bool(pa.types.is_floating(kind.value_type))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


@dataclass
class Source:
    """One parquet file of the contract, opened if it could be, with what was wrong when it could not."""

    name: str
    path: Path
    required: dict[str, str] = field(default_factory=dict)  # column -> kind in words
    file: pq.ParquetFile | None = None
    absent: str = ""
    unreadable: str = ""
    missing_columns: str = ""
    wrong_types: str = ""
    extra_columns: str = ""
    nulls: int = 0
    null_columns: dict[str, int] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        return self.file is not None and not (self.unreadable or self.missing_columns or self.wrong_types)

    @property
    def rows(self) -> int:
        return int(self.file.metadata.num_rows) if self.file is not None else 0

    def has(self, column: str) -> bool:
        return self.file is not None and column in self.file.schema_arrow.names

    def batches(self, columns: list[str], batch_rows: int = BATCH_ROWS) -> Iterator[tuple[int, int, pa.RecordBatch]]:
        """Yields (row group, first row, batch). On a broken page it notes the problem and ends."""
        if self.file is None:
            return
        row = 0
        try:
            for group in range(self.file.metadata.num_row_groups):
                for batch in self.file.iter_batches(batch_rows, row_groups=[group], columns=columns):
                    batch.validate(full=True)  # texts that are no UTF-8, lists that point outside their values
                    yield group, row, batch
                    row += batch.num_rows
        except READ_ERRORS as error:
            self.unreadable = f"breaks after row {row} of {self.rows}: {_first_line(error)}"

    def integers(self, batch: pa.RecordBatch, column: str) -> Ints:
        return self._whole(batch.column(column), column)

    def lists(self, batch: pa.RecordBatch, column: str) -> tuple[pa.Array, Ints]:
        """The values of a list column end to end, and the length of each row's list."""
        array = batch.column(column)
        self._count_nulls(array, column)
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        return array.flatten(), lengths

    def integer_lists(self, batch: pa.RecordBatch, column: str) -> tuple[Ints, Ints]:
        flat, lengths = self.lists(batch, column)
        return self._whole(flat, column), lengths

    def _whole(self, array: pa.Array, column: str) -> Ints:
        if array.null_count:
            self._count_nulls(array, column)
            array = pc.fill_null(array, 0)
        return np.asarray(array.to_numpy(zero_copy_only=False)).astype(np.int64, copy=False)

    def _count_nulls(self, array: pa.Array, column: str) -> None:
        if array.null_count:
            self.nulls += array.null_count
            self.null_columns[column] = self.null_columns.get(column, 0) + array.null_count


def open_source(name: str, path: Path, kinds: dict[str, str], optional: dict[str, str]) -> Source:
    """`kinds` and `optional` give the columns of the contract as column -> kind; see KINDS."""
    source = Source(name, path, kinds)
    if not path.is_file():
        source.absent = f"{path.name} is not there"
        return source
    try:
        source.file = pq.ParquetFile(path)
        schema = source.file.schema_arrow
    except READ_ERRORS as error:
        source.file = None
        source.unreadable = f"is not a whole parquet file ({path.stat().st_size:,} bytes): {_first_line(error)}"
        return source
    twice = sorted({column for column in schema.names if schema.names.count(column) > 1})
    missing = [column for column in kinds if column not in schema.names]
    wrong = [
        f"{column} is {schema.field(column).type}, must be {kind}"
        for column, kind in {**kinds, **optional}.items()
        if column in schema.names and column not in twice and not KINDS[kind](schema.field(column).type)
    ]
    source.missing_columns = ", ".join(missing)
    source.wrong_types = "; ".join([*wrong, *(f"{column} comes twice" for column in twice)])
    source.extra_columns = ", ".join(c for c in schema.names if c not in kinds and c not in optional)
    return source


KINDS = {
    "an integer": is_integer,
    "a text": is_text,
    "a list of integers": is_integers,
    "a list of integers or texts": is_tags,
    "a list of floats": is_vector,
}


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
