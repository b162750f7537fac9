"""From a team's own cells to the values of the data contract, in SQL. Each wrong cell stops the import in one line."""

from components.dataset.importers.log.engine import Engine, name
from components.dataset.importers.log.source import Source
from components.errors import StepError
from components.schema.declared import Declared

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT")
_REAL = ("DOUBLE", "FLOAT", "DECIMAL")
# Times as numbers: seconds until the year 5138, then milliseconds, microseconds and nanoseconds.
_UNITS = ((1e11, 1_000_000, 1, "seconds"), (1e14, 1_000, 1, "milliseconds"), (1e17, 1, 1, "microseconds"))
_NANOSECONDS = (float("inf"), 1, 1_000, "nanoseconds")


def key(source: Source, role: str, column: str, engine: Engine) -> str:
    """An id as a text. 7 and "7" are the same id; "007" is another one."""
    source.require(role, column)
    kind, cell = source.types[column], name(column)
    if _is(kind, _REAL):
        source.refuse(engine, column, f"{cell} IS NULL OR {cell} <> floor({cell})", "a text or a whole number")
        return f"CAST(CAST({cell} AS BIGINT) AS VARCHAR)"
    if not _is(kind, (*_WHOLE, "VARCHAR", "UUID", "ENUM")):
        raise StepError(f"{source.path}: {column} ({role}) is of type {kind}; must be texts or whole numbers")
    as_text = f"trim(CAST({cell} AS VARCHAR))"
    source.refuse(engine, column, f"coalesce({as_text}, '') = ''", "a text or a whole number")
    return as_text


def moment(source: Source, column: str, engine: Engine) -> str:
    """A time as microseconds since 1970 in UTC."""
    source.require("time", column)
    kind, cell = source.types[column], name(column)
    if _is(kind, ("TIMESTAMP", "DATE")):
        source.refuse(engine, column, f"{cell} IS NULL", "a time")
        return f"epoch_us(CAST({cell} AS TIMESTAMP WITH TIME ZONE))"
    number = f"try_cast({cell} AS DOUBLE)" if kind == "VARCHAR" else f"CAST({cell} AS DOUBLE)"
    if kind == "VARCHAR" and engine.row(f"SELECT count({number}) = 0 FROM {source.relation}")[0]:
        parsed = f"try_cast({cell} AS TIMESTAMP WITH TIME ZONE)"
        source.refuse(engine, column, f"{parsed} IS NULL", "a time such as 2026-11-28 09:30:00 or 1795858200")
        return f"epoch_us({parsed})"
    if not _is(kind, (*_WHOLE, *_REAL, "VARCHAR")):
        raise StepError(f"{source.path}: {column} (time) is of type {kind}; must be times, or numbers since 1970")
    wrong = f"NOT coalesce(isfinite({number}) AND {number} >= 0, false)"
    source.refuse(engine, column, wrong, "a time: a number since 1970 in one unit for all rows")
    least, most = engine.row(f"SELECT min({number}), max({number}) FROM {source.relation}")
    unit, largest = _unit(least), _unit(most)
    if unit != largest:
        raise StepError(
            f"{source.path}: {column} runs from {least:.0f}, as in {unit[3]}, to {most:.0f}, as in {largest[3]}; must "
            "be in one unit for all rows"
        )
    _, multiply, divide, _ = unit
    if _is(kind, _WHOLE):
        return f"CAST({cell} AS BIGINT) * {multiply} // {divide}"
    exact = f"try_cast({cell} AS DECIMAL(38, 6))"  # digits that a float has no room for
    return f"CAST(floor(coalesce({exact}, CAST({number} AS DECIMAL(38, 6))) * {multiply} / {divide}) AS BIGINT)"


def _is(kind: str, names: tuple[str, ...]) -> bool:
    return kind.startswith(names) and not kind.endswith("]")  # BIGINT[] is a list


def _unit(value: float) -> tuple[float, int, int, str]:
    return next((unit for unit in _UNITS if value < unit[0]), _NANOSECONDS)


def label(source: Source, column: str, engine: Engine) -> str:
    source.require("label", column)
    number = _number(source, column)
    source.refuse(engine, column, f"NOT coalesce({number} IN (0, 1), false)", "0 or 1")
    return f"{number} = 1"


def weight(source: Source, column: str, engine: Engine) -> str:
    source.require("weight", column)
    number = _number(source, column)
    wrong = f"NOT coalesce(isfinite({number}) AND {number} > 0, false)"
    source.refuse(engine, column, wrong, "a number above 0")
    return number


def split(source: Source, column: str, engine: Engine) -> str:
    source.require("split", column)
    cell = f"CAST({name(column)} AS VARCHAR)"
    source.refuse(engine, column, f"coalesce({cell}, '') NOT IN ('train', 'valid', 'test')", "train, valid or test")
    return f"CASE {cell} WHEN 'train' THEN 0 WHEN 'valid' THEN 1 ELSE 2 END"


def feature(source: Source, declared: Declared, column: str, engine: Engine) -> str:
    """A declared feature's column. Missing cells stay missing."""
    source.require(f"the feature {declared.name!r}", column)
    kind, cell = source.types[column], name(column)
    if declared.kind == "number":
        number = _number(source, column)
        source.refuse(engine, column, f"{cell} IS NOT NULL AND {number} IS NULL", "a number, or nothing")
        return number
    if declared.kind == "text":
        return f"coalesce(CAST({cell} AS VARCHAR), '')"
    if declared.kind == "vector":
        return _vector(source, column, engine)
    if declared.kind == "categories":
        if kind == "VARCHAR":  # a CSV has no lists
            return f"list_filter(list_transform(string_split({cell}, '|'), lambda x: trim(x)), lambda x: x <> '')"
        if not kind.endswith("]"):
            raise StepError(f"{source.path}: {column} is of type {kind}; must be lists of texts or whole numbers")
        return cell
    if declared.levels:
        number = _number(source, column)
        wrong = f"NOT coalesce({number} >= 0 AND {number} < {declared.levels} AND {number} = floor({number}), false)"
        source.refuse(engine, column, wrong, f"a whole number from 0 to {declared.levels - 1}")
        return f"CAST({number} AS BIGINT)"
    if _is(kind, _REAL):  # whole numbers of which some are missing
        source.refuse(engine, column, f"{cell} <> floor({cell})", "a text or a whole number, or nothing")
        return f"CAST({cell} AS BIGINT)"
    if _is(kind, ("TIMESTAMP", "DATE", "ENUM", "UUID", "HUGEINT", "UBIGINT")):
        return f"CAST({cell} AS VARCHAR)"
    if not _is(kind, (*_WHOLE, "VARCHAR", "BOOLEAN")):
        raise StepError(f"{source.path}: {column} is of type {kind}; must be texts or whole numbers")
    return cell


def _vector(source: Source, column: str, engine: Engine) -> str:
    kind, cell = source.types[column], name(column)
    if kind.endswith("]"):
        return f"CAST({cell} AS FLOAT[])"
    if kind != "VARCHAR":
        raise StepError(f"{source.path}: {column} is of type {kind}; must be lists of numbers")
    numbers = f"try_cast({cell} AS FLOAT[])"
    wrong = f"{cell} IS NOT NULL AND {numbers} IS NULL"
    source.refuse(engine, column, wrong, "numbers such as [0.5, 1.25], or nothing")
    return numbers


def _number(source: Source, column: str) -> str:
    kind = source.types[column]
    if _is(kind, (*_WHOLE, *_REAL, "BOOLEAN")):
        return f"CAST({name(column)} AS DOUBLE)"
    if kind == "VARCHAR":
        return f"try_cast({name(column)} AS DOUBLE)"
    raise StepError(f"{source.path}: {column} is of type {kind}; must be numbers")
