"""Proof of a log (chain.py), kept outside the registry: one object for each entry, never changed afterwards.

Whoever may write to the whole registry can remove the log, cut entries off its end, or replace log and tags together.
So each entry leaves an object `MODEL/NUMBER-SHA256` in a place with accounts of its own: a bucket, best with versioning
and object lock, or a folder. Its name is the proof, its content the entry's text, to restore it from. An object is only
ever created, so commands that settle at the same time, or again after a kill, write the same ones.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.errors import StepError
from components.storage.objects import LocalStore, Store, open_store
from components.tracking.server import Server, sqlite_file

ANCHOR_VARIABLE = "MMCTR_DECISIONS_ANCHOR"
_NAME = re.compile(r"(?P<number>[1-9][0-9]*)-(?P<sha256>[0-9a-f]{64})")


def text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Anchor:
    """The objects of one model's log."""

    store: Store
    model: str

    @property
    def location(self) -> str:
        return f"{self.store.location}/{self.model}"

    def proofs(self) -> list[tuple[int, str]]:
        """Number and hash of each entry that was anchored."""
        prefix = f"{self.model}/"
        names = (name.removeprefix(prefix) for name in self.store.listing(prefix))
        return sorted((int(found["number"]), found["sha256"]) for name in names if (found := _NAME.fullmatch(name)))

    def add(self, number: int, text: str) -> None:
        self.store.create(f"{self.model}/{number}-{text_hash(text)}", text.encode())


def anchor_of(server: Server, model: str) -> Anchor | None:
    """At `MMCTR_DECISIONS_ANCHOR`, or else in a folder beside a SQLite registry; a server has no default."""
    if location := os.environ.get(ANCHOR_VARIABLE):
        store = open_store(location)
        if isinstance(store, LocalStore) and not store.root.is_dir():
            raise StepError(f"{ANCHOR_VARIABLE} = {location}: there is no such folder; make it, or mount what holds it")
        return Anchor(store, model)
    file = sqlite_file(server.uri)
    return Anchor(open_store(Path(file.parent, "decisions")), model) if file else None


def broken(proofs: list[tuple[int, str]], entries: Mapping[int, str], entry: str) -> str | None:
    """What the log lacks or has changed of what was anchored; None if it holds all of it."""
    missing = [number for number, _ in proofs if number not in entries]
    if missing and not entries:
        return f"its {len(missing)} {'entry is' if len(missing) == 1 else 'entries are'} gone"
    if missing:
        return f"{entry} {missing[0]} is missing"
    changed = [number for number, sha256 in proofs if text_hash(entries[number]) != sha256]
    return f"the text of {entry} {changed[0]} was changed" if changed else None
