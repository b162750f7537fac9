"""The team's files as tables of the engine: `user_ids`, `item_ids`, `items` and `events`, with whole-number ids."""

from dataclasses import dataclass, replace
from pathlib import Path

from components.dataset.importers.log import cells
from components.dataset.importers.log.engine import Engine, name, text
from components.dataset.importers.log.source import Source
from components.dataset.layout import ITEM_IDS, MAX_TAGS, TITLE, USER_IDS
from components.errors import StepError
from components.schema.declared import Declared, Schema
from components.schema.log import LogColumns

# Features that the importer makes of the time where the log has no such column.
OF_TIME = {"hour_of_day": "hour(make_timestamp({time}))", "day_of_week": "isodow(make_timestamp({time}))"}
TIME_GAP = "time_gap"  # of an event of a history: seconds from then to the row's own moment
_TITLES = ("title", "item_title", "name")


@dataclass(frozen=True)
class Loaded:
    """What lies in the tables, besides the ids."""

    rows: int  # of the log
    unknown: int  # of these, left out because the item table lacks their item
    labelled: bool
    given_splits: bool
    features: dict[str, str]  # name of a row's or user's feature -> its column in `events`, in the order of the file
    of_events: dict[str, str]  # the same of features that a history's events carry; empty for what is made of the time
    weighted: bool

    @property
    def carried(self) -> list[str]:
        """Columns of `events` besides user, item, time and label."""
        columns = [*self.features.values(), *filter(None, self.of_events.values())]
        return [*(["split"] if self.given_splits else []), *(["weight"] if self.weighted else []), *columns]


def load(engine: Engine, log: Source, items: Source | None, schema: Schema, previous: Path | None) -> Loaded:
    columns = schema.log
    if columns is None:
        raise StepError("features.yaml lacks the section `log`, which names the columns of user, item and time")
    _load_items(engine, items, schema, columns)
    features = {feature.name: f"feature_{number}" for number, feature in enumerate(schema.row)}
    of_events = {feature.name: f"event_{number}" for number, feature in enumerate(schema.event)}
    if TIME_GAP in of_events and TIME_GAP not in log.types:
        of_events[TIME_GAP] = ""
    _load_cells(engine, log, schema, columns, {**features, **of_events})
    (rows,) = engine.row("SELECT count(*) FROM cells")
    if not rows:
        raise StepError(f"{log.path} has no rows")
    _number_users(engine, previous)
    _number_items(engine, items is not None, previous)
    loaded = Loaded(
        rows, 0, columns.label is not None, columns.split is not None, features, of_events, bool(columns.weight)
    )
    carried = "".join(f", cells.{column}" for column in loaded.carried)
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
    return replace(loaded, unknown=rows - known)


def _load_cells(engine: Engine, log: Source, schema: Schema, columns: LogColumns, features: dict[str, str]) -> None:
    """`cells`: the log's rows as values of the data contract, but for the ids, which are the team's own."""
    for role, column in columns.of_log.items():
        log.require(f"log.{role} of features.yaml", column)
    sources = {feature.name: _column_of(log, feature) for feature in (*schema.row, *schema.event)}
    log = log.loaded(engine, "log_cells", [*columns.of_log.values(), *sources.values()])
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
    for feature in (*schema.row, *schema.event):
        column = features[feature.name]
        if column and feature.name in OF_TIME and feature.name not in log.types:
            selected.append(f"{OF_TIME[feature.name].format(time=time)} AS {column}")
        elif column:
            selected.append(f"{cells.feature(log, feature, sources[feature.name], engine)} AS {column}")
    engine.run(f"CREATE VIEW cells AS SELECT {', '.join(selected)} FROM {log.relation}")


def _column_of(log: Source, feature: Declared) -> str:
    """The log's column. `event_device` is what the column `device` said of that event, if there is no such column."""
    bare = feature.name.removeprefix("event_")
    return bare if feature.of == "event" and feature.name not in log.types else feature.name


def _load_items(engine: Engine, items: Source | None, schema: Schema, columns: LogColumns) -> None:
    """`items`: each item of the item table once, with its title, tags and features."""
    if items is None:
        declared = of_items(schema)
        if declared:
            raise StepError(
                f"features.yaml declares {declared[0].name!r} of an item, and no item table is given: name it with "
                "--items"
            )
        return
    for role, column in columns.of_items.items():
        items.require(f"log.{role} of features.yaml", column)
    items = items.loaded(engine, "item_cells", items.types)
    item_id = columns.of_items["item"]
    raw = cells.key(items, "log.item", item_id, engine)
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
    for feature in of_items(schema):
        selected.append(f"{cells.feature(items, feature, feature.name, engine)} AS {name(feature.name)}")
    engine.run(f"CREATE TABLE items AS SELECT {', '.join(selected)} FROM {items.relation}")
    twice = engine.rows("SELECT raw, count(*) FROM items GROUP BY raw HAVING count(*) > 1 ORDER BY raw LIMIT 1")
    if twice:
        raise StepError(f"{items.path}: {item_id} {twice[0][0]!r} stands there {twice[0][1]} times; keep one")


def of_items(schema: Schema) -> list[Declared]:
    """What is read of the item table under its own name."""
    texts = [part for part in schema.content if part.kind == "text" and part.name != TITLE]
    return [*schema.item, *texts]


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
