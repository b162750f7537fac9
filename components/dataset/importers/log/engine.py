"""DuckDB: SQL on tables that need not fit into memory. This is the only module that imports it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from components.errors import StepError, one_line


class Engine:
    """A database in a folder of its own, where it also keeps what does not fit into `memory_mb`."""

    def __init__(self, folder: Path, memory_mb: int) -> None:
        self._connection = duckdb.connect(str(folder / "tables.duckdb"))
        for setting in (
            f"memory_limit = '{memory_mb}MB'",
            f"temp_directory = {text(str(folder / 'spilled'))}",
            "TimeZone = 'UTC'",
            "enable_progress_bar = false",
            "autoinstall_known_extensions = false",  # an import asks nothing of the network
            "autoload_known_extensions = false",
        ):
            self._connection.execute(f"SET {setting}")

    def run(self, sql: str) -> None:
        try:
            self._connection.execute(sql)
        except duckdb.Error as error:
            raise _in_one_line(error) from None

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        try:
            found: list[tuple[Any, ...]] = self._connection.execute(sql).fetchall()
        except duckdb.Error as error:
            raise _in_one_line(error) from None
        return found

    def row(self, sql: str) -> tuple[Any, ...]:
        return self.rows(sql)[0]

    def batches(self, sql: str, rows: int) -> Iterator[pa.RecordBatch]:
        """The answer, `rows` at a time."""
        try:
            yield from self._connection.sql(sql).to_arrow_reader(rows)
        except duckdb.Error as error:
            raise _in_one_line(error) from None

    def close(self) -> None:
        self._connection.close()


def _in_one_line(error: duckdb.Error) -> StepError:
    said = one_line(error)[:400]
    if isinstance(error, duckdb.OutOfMemoryException):
        return StepError(f"the import needs more memory or disk: give --memory-mb more, or make room ({said})")
    return StepError(f"the files can't be read: {said}")


def name(column: str) -> str:
    """A column's name in SQL."""
    return '"' + column.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text in SQL."""
    return "'" + value.replace("'", "''") + "'"
