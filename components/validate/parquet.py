"""Reads Parquet files that may be broken: what is wrong with a file becomes a finding, never a traceback."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.dataset.footers import READ_ERRORS, Footer, first_line
from components.dataset.layout import LEVELS_AS_OF_CLICK, find_file

BATCH_ROWS = 65_536  # x 100 positions x 8 bytes: 52 MB of history at a time, whatever the row groups are

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass
class ContractFile:
    """One file of the data contract, open for reading where its footer could be read."""

    name: str  # train, valid, test, item_feature or item_info
    footer: Footer
    file: pq.ParquetFile | None = None
    broken: str = ""  # what went wrong while its pages were read
    nulls: int = 0
    null_columns: dict[str, int] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        return self.file is not None and self.footer.usable and not self.broken

    @property
    def rows(self) -> int:
        return self.footer.rows

    @property
    def levels_as_of_click(self) -> bool:
        metadata = (self.footer.schema.metadata if self.footer.schema is not None else None) or {}
        return LEVELS_AS_OF_CLICK.items() <= metadata.items()

    def has(self, column: str) -> bool:
        return self.footer.schema is not None and column in self.footer.schema.names

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
            self.broken = f"breaks after row {row} of {self.rows}: {first_line(error)}"

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


def open_file(dataset: Path, name: str, footer: Footer) -> ContractFile:
    path = find_file(dataset, footer.contract.name)
    return ContractFile(name, footer, pq.ParquetFile(path) if path and footer.schema is not None else None)
