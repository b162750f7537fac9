"""Which item tables were published for a version after it was registered, and which were revoked: a log (chain.py).

The log of `mmctr` is the registered model `mmctr-items`. Whoever may add entries to it may publish: on a guarded server
(roles.py) those to whom an administrator grants it, and nobody may change or remove an entry. An entry names the hash
of the table and the hash of the files of the version that it belongs to, so a table can't be exchanged, and belongs to
no other version. The table itself is a file of an MLflow run.
"""

import dataclasses
import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from components.errors import StepError
from components.tracking.anchor import anchor_of, text_hash
from components.tracking.chain import linked, read_texts
from components.tracking.models import Models
from components.tracking.server import RegistryRefusedError

ITEMS = "mmctr.items"  # on an entry of the log its text
FILE = "items.npz"  # of the run that published a table
_FOLDER = "items"
_DESCRIPTION = "Item tables of {name}, one a version, chained by hashes. Written by `mmctr items`; never edit."


@dataclass(frozen=True)
class TableEntry:
    id: str
    after: int  # number of the last entry that the writer knew; 0: none
    previous: str  # that entry's hash
    action: Literal["publish", "revoke"]
    version: int  # of the model
    package: str  # hash of the files of that version
    table: str  # hash of the table
    run_id: str  # the MLflow run that holds the table
    by: str
    note: str
    at: str  # ISO 8601, UTC
    facts: Mapping[str, int | str] = field(default_factory=dict)

    def sentence(self) -> str:
        verb = "published" if self.action == "publish" else "revoked"
        return f"{self.by} {verb} the item table {self.table[:16]} of version {self.version}: {self.note}"


@dataclass(frozen=True)
class Tables:
    """The log as read."""

    entries: Mapping[int, TableEntry]  # those that count
    hashes: Mapping[int, str]
    unanchored: Mapping[int, str]

    def current(self, version: int, package: str) -> TableEntry | None:
        """The newest table of a version that was not revoked; None: the version's own table counts."""
        own = [entry for entry in self.entries.values() if (entry.version, entry.package) == (version, package)]
        revoked = {entry.table for entry in own if entry.action == "revoke"}
        return next((e for e in reversed(own) if e.action == "publish" and e.table not in revoked), None)

    def revoked(self, version: int, table: str) -> TableEntry | None:
        about = [entry for entry in self.entries.values() if (entry.version, entry.table) == (version, table)]
        return next((entry for entry in about if entry.action == "revoke"), None)


def log_of(models: Models) -> Models:
    return Models(models.server, f"{models.name}-items")


def read_tables(models: Models) -> Tables:
    texts = read_texts(log_of(models), ITEMS, log_of(models).name, "entry")
    entries, hashes = dict[int, TableEntry](), {0: ""}
    for number, entry, text, counts in linked(texts.entries, lambda text: TableEntry(**json.loads(text)), "entry"):
        if counts:
            entries[number], hashes[number] = entry, text_hash(text)
    return Tables(entries, hashes, texts.unanchored)


def add(models: Models, tables: Tables, entry: TableEntry) -> Tables:
    """Adds an entry to the log as it was read; returns the log with it. Refused if another came first."""
    log, head = log_of(models), max(tables.hashes)
    written = dataclasses.replace(entry, after=head, previous=tables.hashes[head])
    if not head:
        with suppress(RegistryRefusedError):  # it may be there, without an entry
            log.ensure(_DESCRIPTION.format(name=models.name))
    try:
        text = json.dumps(dataclasses.asdict(written), sort_keys=True, ensure_ascii=False)
        log.create(f"models:/{models.name}/{entry.version}", {ITEMS: text}, written.sentence()[:4900])
    except RegistryRefusedError as error:
        raise RegistryRefusedError(
            f"{log.name}: this account may not publish item tables ({error}); docs/how-to/items.md says who may"
        ) from None
    found = settle(models)
    if entry.id not in {kept.id for kept in found.entries.values()}:
        raise StepError(f"someone else changed the item tables of {models.name} at the same moment: run it again")
    return found


def settle(models: Models) -> Tables:
    """The log, after the proofs outside the registry that it lacks were put there."""
    tables = read_tables(models)
    anchor = anchor_of(models.server, log_of(models).name) if tables.unanchored else None
    if anchor:
        for number, text in tables.unanchored.items():
            anchor.add(number, text)
    return tables


def new_entry(action: Literal["publish", "revoke"], version: int, package: str, by: str, note: str) -> TableEntry:
    """Without its table, and its place in the log."""
    for option, value in (("--by", by), ("--note", note)):
        if not value.strip():
            raise ValueError(f"{option} is empty: the log keeps who changed the item table and why")
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return TableEntry(uuid.uuid4().hex, 0, "", action, version, package, "", "", by, note, at)


def upload(models: Models, run_id: str, file: Path) -> None:
    models.server.call("log_artifact", run_id, str(file), _FOLDER)


def download(models: Models, entry: TableEntry, out: Path) -> Path:
    return Path(models.server.call("download_artifacts", entry.run_id, f"{_FOLDER}/{FILE}", str(out)))
