"""A version as it scores now: its package, and the item table that was published for it since."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from components.dataset.item_ids import read_item_ids
from components.errors import StepError
from components.packages.fetch import expected_hash
from components.packages.format import MANIFEST, RANKER
from components.packages.item_rows import read_rows, table_hash
from components.packages.scores import Mask, known_items
from components.schema.encoder import ItemIds
from components.storage.files import atomic_path, read_json
from components.storage.locks import alone
from components.tracking import item_tables
from components.tracking.item_tables import TableEntry, read_tables
from components.tracking.models import Models, Version
from model.checkpoint import load
from model.ranker import Ranker


@dataclass(frozen=True)
class CurrentItems:
    ranker: Ranker
    known: Mask  # which ids name an item
    item_table: str  # a hash that names the table
    ids: ItemIds  # what rows call the items


def published_for(models: Models, version: Version) -> TableEntry | None:
    """The table that counts for a version now; None: its own."""
    tables = read_tables(models)
    return tables.current(version.number, expected_hash(models, version)) if tables.entries else None


def with_current_items(models: Models, entry: TableEntry | None, package: Path, cache: Path) -> CurrentItems:
    """Raises StepError if the table is not the one that was published, or does not fit the version."""
    ranker = load(package / RANKER)
    known, ids = known_items(package, ranker.vocabulary.items), read_item_ids(package)
    if entry is None:
        return CurrentItems(ranker, known, str(read_json(package / MANIFEST).get("item_info_sha256", "")), ids)
    rows = read_rows(local_table(models, entry, cache), f"the item table {entry.table[:16]}")
    named = f"the item table {entry.table[:16]} of version {entry.version}"
    if (rows.version, rows.package) != (entry.version, entry.package):
        raise StepError(f"{named} was made for version {rows.version}: revoke it with `mmctr items revoke`")
    try:
        ranker, known = rows.on(ranker, known)
    except (ValueError, RuntimeError, IndexError) as error:
        raise StepError(f"{named} does not fit it ({error}): revoke it with `mmctr items revoke`") from None
    return CurrentItems(ranker, known, entry.table, rows.named(ids))


def local_table(models: Models, entry: TableEntry, cache: Path) -> bytes:
    """The table's file, held against its hash; a damaged copy is fetched again."""
    kept = cache / f"items-{entry.table}.npz"
    with alone(cache / f".items-{entry.table}.lock"):
        if kept.is_file() and table_hash(content := kept.read_bytes()) == entry.table:
            return content
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            content = item_tables.download(models, entry, Path(scratch)).read_bytes()
        if table_hash(content) != entry.table:
            raise StepError(
                f"the item table {entry.table[:16]} of {models.name} version {entry.version} is damaged: its file in "
                f"MLflow run {entry.run_id} has another hash. Revoke it with `mmctr items revoke`, then refresh again"
            )
        with atomic_path(kept) as path:
            path.write_bytes(content)
    return content
