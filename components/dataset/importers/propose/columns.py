"""What the values of each column of a table look like. Of a large table 100,000 rows are looked at."""

from dataclasses import dataclass, replace
from pathlib import Path

from components.dataset.importers.log.engine import Engine, name
from components.dataset.importers.log.source import Source

SAMPLED = 100_000
_REAL = ("DOUBLE", "FLOAT", "DECIMAL")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT")


@dataclass(frozen=True)
class Column:
    name: str
    kind: str  # whole, real, time, text, several (texts in one cell), vector, or other
    filled: int  # rows with a value
    distinct: int
    low: float | None = None  # of numbers
    high: float | None = None
    length: float = 0.0  # mean number of characters of a text


@dataclass(frozen=True)
class Table:
    source: Source
    view: str  # what the engine calls the rows that are looked at
    rows: int  # of these
    columns: tuple[Column, ...]

    @property
    def path(self) -> Path:
        return self.source.path

    def column(self, wanted: str) -> Column:
        return next(column for column in self.columns if column.name == wanted)


def look(engine: Engine, source: Source, view: str) -> Table:
    engine.run(
        f"CREATE TABLE {view} AS SELECT * FROM {source.relation} USING SAMPLE reservoir({SAMPLED} ROWS) REPEATABLE (1)"
    )
    (rows,) = engine.row(f"SELECT count(*) FROM {view}")
    return Table(source, view, rows, tuple(_look(engine, view, column, kind) for column, kind in source.types.items()))


def _look(engine: Engine, view: str, column: str, kind: str) -> Column:
    cell = name(column)
    filled, distinct = engine.row(f"SELECT count({cell}), count(DISTINCT {cell}) FROM {view}")
    found = Column(column, "other", filled, distinct)
    if kind.endswith("]"):
        inner = kind.rstrip("[]0123456789")
        return replace(found, kind="vector" if inner.startswith(_REAL) else "several")
    if kind.startswith(("TIMESTAMP", "DATE")):
        return replace(found, kind="time")
    if kind.startswith((*_WHOLE, *_REAL, "BOOLEAN")):
        return _numbers(engine, view, found, f"CAST({cell} AS DOUBLE)")
    if kind != "VARCHAR":
        return found
    numbers, times, several, length = engine.row(
        f"SELECT count(try_cast({cell} AS DOUBLE)), count(try_cast({cell} AS TIMESTAMP WITH TIME ZONE)), "
        f"count(*) FILTER (contains({cell}, '|')), coalesce(avg(length({cell})), 0) FROM {view}"
    )
    if filled and numbers == filled:
        return _numbers(engine, view, found, f"try_cast({cell} AS DOUBLE)")
    if filled and times == filled:
        return replace(found, kind="time")
    return replace(found, kind="several" if several * 5 > filled else "text", length=length)


def _numbers(engine: Engine, view: str, column: Column, number: str) -> Column:
    low, high, whole = engine.row(
        f"SELECT min({number}), max({number}), coalesce(bool_and({number} = floor({number})), false) FROM {view}"
    )
    return replace(column, kind="whole" if whole else "real", low=low, high=high)
