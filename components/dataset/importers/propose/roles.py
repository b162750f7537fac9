"""Which table is the log and which the items, and which of their columns have a role.

Names decide first, then values: a label has two values, an item of the log is found in the item table.
"""

import re
from dataclasses import dataclass

from components.dataset.importers.log.engine import Engine, name
from components.dataset.importers.propose.columns import Column, Table
from components.errors import StepError
from components.schema.log import LogColumns

# Words of a column's name that speak for a role, the clearest first.
WORDS = {
    "user": ("user", "visitor", "customer", "member", "reader", "viewer", "client", "uid", "person", "session"),
    "item": ("item", "sku", "product", "article", "movie", "film", "video", "book", "track", "asin", "offer", "iid"),
    "time": ("timestamp", "time", "datetime", "at", "ts", "when", "date"),
    "label": ("label", "clicked", "click", "target", "is_click", "liked", "purchased", "bought", "y"),
    "weight": ("weight",),
    "split": ("split", "fold"),
    "title": ("title", "name", "headline", "item_title"),
    "tags": ("tags", "tag", "genres", "keywords", "categories"),
    "cover": ("cover", "image", "picture", "photo", "poster", "img"),
}
_EPOCH = (1e8, 1e19)  # numbers that can be moments since 1970, in seconds to nanoseconds: 1973 or later


@dataclass(frozen=True)
class Roles:
    log: Table
    items: Table | None
    columns: LogColumns
    unsure: tuple[str, ...]


def find_roles(engine: Engine, tables: list[Table], covers: bool) -> Roles:
    log = max(tables, key=lambda table: (_looks_like_a_log(table), table.rows))
    unsure: list[str] = []
    found: dict[str, str] = {}
    for role, fits in (("time", _may_be_time), ("user", _may_be_id), ("item", _may_be_id)):
        chosen = _choose(role, [c for c in log.columns if c.name not in found.values() and fits(c)])
        if chosen is None:
            raise StepError(
                f"{log.path}: no column looks like the {role}: it has "
                f"{', '.join(column.name for column in log.columns[:12])}. Write features.yaml by hand; its section "
                "`log` names the columns"
            )
        found[role] = chosen[0].name
        if not chosen[1]:
            unsure.append(f"log.{role} = {chosen[0].name}: its name does not say so, it is a guess")
    others = [table for table in tables if table is not log]
    items, item_id = _item_table(engine, log, found["item"], others)
    for role, fits in (("label", _may_be_label), ("weight", _may_be_weight), ("split", _may_be_split)):
        chosen = _choose(role, [c for c in log.columns if c.name not in found.values() and fits(c)], by_name=True)
        if chosen is not None:
            found[role] = chosen[0].name
    if "label" not in found:
        unsure.append("no column looks like the label, so each row of the log is taken for a click")
    if items is not None:
        left = [column for column in items.columns if column.name != item_id]
        for role in ("title", "tags", *(["cover"] if covers else [])):
            wanted = ("several",) if role == "tags" else ("text",)
            chosen = _choose(role, [c for c in left if c.kind in wanted], by_name=True)
            if chosen is not None:
                found[role] = chosen[0].name
        if item_id is not None and item_id != found["item"]:
            found["item_table_id"] = item_id
    for table in others:
        if table is not items:
            unsure.append(f"{table.path.name} is neither the log nor the item table, and is not used")
    return Roles(log, items, LogColumns(**found), tuple(unsure))


def words_of(column: str) -> list[str]:
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", column).lower()
    return [word for word in re.split(r"[^a-z0-9]+", parted) if word]


def _choose(role: str, columns: list[Column], by_name: bool = False) -> tuple[Column, bool] | None:
    """(column, whether its name says so); None if none fits."""
    known = WORDS[role]

    def rank(column: Column) -> int:
        said = [known.index(word) for word in [*words_of(column.name), column.name.lower()] if word in known]
        return min(said, default=len(known))

    named = [column for column in columns if rank(column) < len(known)]
    if named:
        return min(named, key=rank), True
    if by_name or not columns:
        return None
    return max(columns, key=lambda column: column.distinct), False


def _looks_like_a_log(table: Table) -> int:
    return sum(
        any(word in WORDS[role] for column in table.columns for word in words_of(column.name))
        for role in ("user", "time", "label")
    ) + any(map(_may_be_time, table.columns))


def _may_be_time(column: Column) -> bool:
    if column.kind in ("whole", "real"):
        return column.low is not None and column.high is not None and _EPOCH[0] <= column.low <= column.high < _EPOCH[1]
    return column.kind == "time"


def _may_be_id(column: Column) -> bool:
    return column.kind in ("whole", "text") and column.distinct > 1


def _may_be_label(column: Column) -> bool:
    return column.kind == "whole" and column.low == 0 and column.high == 1


def _may_be_weight(column: Column) -> bool:
    return column.kind in ("whole", "real") and column.low is not None and column.low > 0


def _may_be_split(column: Column) -> bool:
    return column.kind == "text" and column.distinct == 3


def _item_table(engine: Engine, log: Table, item: str, others: list[Table]) -> tuple[Table | None, str | None]:
    """The table with a column whose values are each there once, and name the log's items."""
    best: tuple[float, Table, str] | None = None
    for table in others:
        for column in table.columns:
            if column.distinct < table.rows or not _may_be_id(column):
                continue
            (share,) = engine.row(
                f"SELECT avg((CAST({name(item)} AS VARCHAR) IN (SELECT CAST({name(column.name)} AS VARCHAR) "
                f"FROM {table.source.relation}))::DOUBLE) FROM {log.view}"
            )
            if share > 0.5 and (best is None or share > best[0]):
                best = share, table, column.name
    return (best[1], best[2]) if best else (None, None)
