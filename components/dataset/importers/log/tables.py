"""The team's files as tables of the engine: `user_ids`, `item_ids`, `items` and `events`, with whole-number ids."""

from dataclasses import dataclass
from pathlib import Path

from components.dataset.importers.log import cells
from components.dataset.importers.log.engine import Engine, name, text
from components.dataset.importers.log.source import Source
from components.dataset.layout import ITEM_IDS, MAX_TAGS, USER_IDS
from components.errors import StepError
from components.schema.declared import Declared, Schema
from components.schema.log import LogColumns

# Features that the importer makes of the time where the log has no such column.
OF_TIME = {"hour_of_day": "hour(make_timestamp(time))", "day_of_week": "isodow(make_timestamp(time))"}
_TITLES = ("title", "item_title", "name")


@dataclass(frozen=True)
class Loaded:
    """What lies in the tables, besides the ids."""

    rows: int  # of the log
    unknown: int  # of these, left out because the item table lacks their item
    labelled: bool
    given_splits: bool
    features: dict[str, str]  # name of a row's or user's feature -> its column in `events`, in the order of the file
    weighted: bool


def load(engine: Engine, log: Source, items: Source | None, schema: Schema, previous: Path | None) -> Loaded:
    columns = schema.log
    if columns is None:
        raise StepError("features.yaml lacks the section `log`, which names the columns of user, item and time")
    _load_items(engine, items, schema, columns)
    features = _load_cells(engine, log, schema, columns)
    (rows,) = engine.row("SELECT count(*) FROM cells")
    if not rows:
        raise StepError(f"{log.path} has no rows")
    _number_users(engine, previous)
    _number_items(engine, items is not None, previous)
    carried = "".join(f", cells.{name(column)}" for column in _carried(columns, features))
    engine.run(
        f"CREATE TABLE events AS SELECT user_ids.id AS user, item_ids.id AS item, time, clicked{carried} FROM cells "
        "JOIN user_ids ON user_ids.raw = user_raw JOIN item_ids ON item_ids.raw = item_raw AND item_ids.listed"
    )
    (known,) = engine.row("SELECT count(*) FROM events")
    if items is not None and known * 2 < rows:
        raise StepError(
            f"{log.path}: only {known:,} of {rows:,} rows are of items in {items.path}; do the files match, and is "
            f"{columns.item!r} the item's id in both?"
        )
    return Loaded(
        rows, rows - known, columns.label is not None, columns.split is not None, features, columns.weight is not None
    )


def _carried(columns: LogColumns, features: dict[str, str]) -> list[str]:
    return [*(["split"] if columns.split else []), *(["weight"] if columns.weight else []), *features.values()]


def _load_cells(engine: Engine, log: Source, schema: Schema, columns: LogColumns) -> dict[str, str]:
    for role, column in columns.of_log.items():
        log.require(f"log.{role} of features.yaml", column)
    log = log.loaded(engine, "log_cells", [*columns.of_log.values(), *(feature.name for feature in schema.row)])
    time = cells.moment(log, columns.time, engine)
    selected = [
        f"{cells.key(log, 'log.user', columns.user, engine)} AS user_raw",
        f"{cells.key(log, 'log.item', columns.item, engine)} AS item_raw",
        f"{time} AS time",
        f"{cells.label(log, columns.label, engine) if columns.label else 'true'} AS clicked",
    ]
    if columns.split:
        selected.append(f"{cells.split(log, columns.split, engine)} AS split")
    if columns.weight:
        selected.append(f"{cells.weight(log, columns.weight, engine)} AS weight")
    features = {feature.name: f"feature_{number}" for number, feature in enumerate(schema.row)}
    for feature in schema.row:
        selected.append(f"{_of_row(log, feature, engine)} AS {features[feature.name]}")
    engine.run(f"CREATE VIEW cells AS SELECT {', '.join(selected)} FROM {log.relation}")
    return features


def _of_row(log: Source, feature: Declared, engine: Engine) -> str:
    if feature.name in OF_TIME and feature.name not in log.types:
        return OF_TIME[feature.name]  # DuckDB lets a column of the same SELECT be named: `time` is in microseconds
    return cells.feature(log, feature, feature.name, engine)


def _load_items(engine: Engine, items: Source | None, schema: Schema, columns: LogColumns) -> None:
    """`items`: each item of the item table once, with its title, tags and features."""
    if items is None:
        if schema.item:
            raise StepError(
                f"features.yaml declares {schema.item[0].name!r} of an item, and no item table is given: name it with "
                "--items"
            )
        return
    for role, column in columns.of_items.items():
        items.require(f"log.{role} of features.yaml", column)
    items = items.loaded(engine, "item_cells", items.types)
    raw = cells.key(items, "log.item", columns.item, engine)
    title = columns.title or next((column for column in _TITLES if column in items.types), None)
    selected = [
        f"{raw} AS raw",
        f"coalesce(CAST({name(title)} AS VARCHAR), '') AS item_title" if title else f"{raw} AS item_title",
    ]
    if columns.tags:
        tags = cells.feature(items, Declared(columns.tags, "item", "categories"), columns.tags, engine)
        selected.append(f"coalesce({tags}, [])[:{MAX_TAGS}] AS item_tags")
    if columns.cover:
        selected.append(f"CAST({name(columns.cover)} AS VARCHAR) AS cover")
    for feature in schema.item:
        selected.append(f"{cells.feature(items, feature, feature.name, engine)} AS {name(feature.name)}")
    engine.run(f"CREATE TABLE items AS SELECT {', '.join(selected)} FROM {items.relation}")
    twice = engine.rows("SELECT raw, count(*) FROM items GROUP BY raw HAVING count(*) > 1 ORDER BY raw LIMIT 1")
    if twice:
        raise StepError(f"{items.path}: {columns.item} {twice[0][0]!r} stands there {twice[0][1]} times; keep one")


def _number_users(engine: Engine, previous: Path | None) -> None:
    engine.run("CREATE VIEW seen_users AS SELECT user_raw AS raw, min(time) AS first FROM cells GROUP BY 1")
    _number(engine, "user_ids", "SELECT raw, first, true AS listed FROM seen_users", previous and previous / USER_IDS)


def _number_items(engine: Engine, listed: bool, previous: Path | None) -> None:
    seen = "SELECT item_raw AS raw, min(time) AS first FROM cells GROUP BY 1"
    if listed:  # an item that nobody has met yet has an id as well: it may be a candidate
        seen = f"SELECT raw, first FROM items LEFT JOIN ({seen}) USING (raw)"
    _number(engine, "item_ids", f"SELECT raw, first, true AS listed FROM ({seen})", previous and previous / ITEM_IDS)


def _number(engine: Engine, table: str, seen: str, previous: Path | None) -> None:
    """Ids from 1 on, by the time at which each was first met. Ids of an earlier import stay as they are."""
    old = "SELECT 0 AS id, '' AS raw WHERE false"
    if previous is not None:
        if not previous.is_file():
            raise StepError(f"{previous} is not there: --ids-from must name a data set that mmctr import log made")
        old = f"SELECT CAST(id AS BIGINT) AS id, CAST(raw AS VARCHAR) AS raw FROM read_parquet({text(str(previous))})"
    engine.run(f"CREATE TABLE {table}_old AS {old}")
    (last,) = engine.row(f"SELECT coalesce(max(id), 0) FROM {table}_old")
    engine.run(
        f"CREATE TABLE {table} AS WITH seen AS ({seen}), "
        f"new AS (SELECT * FROM seen WHERE raw NOT IN (SELECT raw FROM {table}_old)) "
        f"SELECT {last} + row_number() OVER (ORDER BY first NULLS LAST, raw) AS id, raw, listed FROM new "
        f"UNION ALL SELECT id, old.raw, coalesce(seen.listed, false) FROM {table}_old AS old LEFT JOIN seen USING (raw)"
    )
