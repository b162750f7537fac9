"""Takes the current item table of a version back: the one before it counts again, or else the version's own."""

from dataclasses import replace

from components.errors import StepError
from components.packages.fetch import expected_hash
from components.tracking import item_tables
from components.tracking.models import Models


def revoke(models: Models, number: int, by: str, note: str) -> str:
    """Returns what happened, as a sentence."""
    package = expected_hash(models, models.version(number))
    entry = item_tables.new_entry("revoke", number, package, by, note)
    tables = item_tables.settle(models)
    current = tables.current(number, package)
    if current is None:
        raise StepError(f"version {number} has no published item table; `mmctr items list` shows what there is")
    entry = replace(entry, table=current.table, run_id=current.run_id)
    after = item_tables.add(models, tables, entry).current(number, package)
    counts = f"the item table {after.table[:16]}" if after else "the version's own item table"
    return f"{entry.sentence()}. Now {counts} counts."
