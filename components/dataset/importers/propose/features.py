"""Which features the remaining columns make, and which columns look wrong."""

from dataclasses import dataclass

from components.dataset.importers.log.engine import Engine, name
from components.dataset.importers.propose.columns import Column, Table
from components.dataset.importers.propose.roles import Roles
from components.schema.declared import RESERVED

FEW = 20  # different whole numbers: up to here they are taken for a category
_TITLE_LENGTH = 40  # characters: longer texts, nearly all different, are read and not compared
_IDS = 0.5  # share of different values among the rows from which a column looks like an id
_MISSING = 0.9


@dataclass(frozen=True)
class Guess:
    """One column: a feature, or a column that is left out, with the reason."""

    column: str
    of: str
    kind: str  # empty: left out
    why: str
    suspicious: bool = False

    @property
    def line(self) -> str:
        return f"{{name: {self.column}, of: {self.of}, kind: {self.kind}}}"


def guess_features(engine: Engine, roles: Roles) -> list[Guess]:
    taken = set(roles.columns.of_log.values())
    guesses = [_of_log(engine, roles, column) for column in roles.log.columns if column.name not in taken]
    if roles.items is not None:
        taken = set(roles.columns.of_items.values())
        guesses += [_guess(roles.items, column, "item") for column in roles.items.columns if column.name not in taken]
    return guesses


def _of_log(engine: Engine, roles: Roles, column: Column) -> Guess:
    label = roles.columns.label
    if label is not None and column.distinct > 1 and _tells_the_label(engine, roles.log, column, label):
        return Guess(
            column.name, "row", "", f"each of its values goes with one value of {label}: the label in disguise?", True
        )
    user = _is_constant(engine, roles.log, column, roles.columns.user)
    guess = _guess(roles.log, column, "user" if user else "row")
    if guess.kind and not user and _is_constant(engine, roles.log, column, roles.columns.item):
        why = f"each {roles.columns.item} has one value of it: it belongs into the item table"
        return Guess(column.name, "row", guess.kind, why)
    return guess


def _guess(table: Table, column: Column, of: str) -> Guess:
    def left_out(why: str, suspicious: bool = True) -> Guess:
        return Guess(column.name, of, "", why, suspicious)

    if column.name in RESERVED:
        return left_out(f"every data set has a column {column.name} of its own; rename this one to use it")
    if not column.filled:
        return left_out("it is empty")
    if column.distinct == 1 and column.filled == table.rows:
        return left_out("it has one value in all rows, and a constant says nothing")
    if column.filled < (1 - _MISSING) * table.rows:
        return left_out(f"{1 - column.filled / table.rows:.0%} of it is missing")
    if column.kind == "vector" and of != "user":
        return Guess(column.name, of, "vector", "")
    if column.kind in ("time", "other", "vector"):
        return left_out(f"it holds {'times' if column.kind == 'time' else 'values of another kind'}", suspicious=False)
    if column.kind == "several":
        return Guess(column.name, of, "categories", "")
    many = column.distinct > _IDS * column.filled and column.filled > FEW
    if column.kind == "text" and many and column.length > _TITLE_LENGTH:
        return Guess(column.name, of, "text", "") if of == "item" else left_out("it holds long texts", suspicious=False)
    if many and column.kind == "text":
        return left_out(f"{column.distinct:,} of {column.filled:,} values are different: it looks like an id")
    if column.kind == "text":
        return Guess(column.name, of, "category", f"{column.distinct:,} different texts")
    if column.kind == "whole" and "id" in column.name.lower().replace("-", "_").split("_"):
        return Guess(column.name, of, "category", "whole numbers, and its name says id")
    if column.kind == "whole" and column.distinct <= FEW and of != "user":
        return Guess(
            column.name, of, "category", f"{column.distinct} different whole numbers; a number if their order counts"
        )
    return Guess(column.name, of, "number", f"{column.low:g} to {column.high:g}")


def _tells_the_label(engine: Engine, log: Table, column: Column, label: str) -> bool:
    """Whether knowing the value is knowing the label, for values that come at least twice."""
    repeated, mixed = engine.row(
        f"SELECT count(*), count(*) FILTER (labels > 1) FROM (SELECT count(DISTINCT {name(label)}) AS labels "
        f"FROM {log.view} WHERE {name(column.name)} IS NOT NULL GROUP BY {name(column.name)} HAVING count(*) > 1)"
    )
    (all_labels,) = engine.row(
        f"SELECT count(DISTINCT {name(label)}) FROM {log.view} WHERE {name(column.name)} IS NOT NULL"
    )
    return bool(repeated > 1 and mixed == 0 and all_labels > 1)


def _is_constant(engine: Engine, log: Table, column: Column, key: str) -> bool:
    """Whether the column has one value for each value of `key`, as far as keys come twice."""
    keys, several = engine.row(
        f"SELECT count(*), count(*) FILTER (values > 1) FROM (SELECT count(DISTINCT {name(column.name)}) AS values "
        f"FROM {log.view} GROUP BY {name(key)} HAVING count(*) > 1)"
    )
    return bool(keys > 1 and several == 0 and column.distinct > 1)
