"""A log in the registry to which entries can only be added, in one order that every reader sees alike.

A log is a registered model: entry n is its version n, and the text of the entry is a tag with which the version is
created. MLflow gives out version numbers one by one, under the database's primary key, and never twice. That order
carries two rules:

* An entry names the last entry that its writer had read (`after`). It counts only if no other that counts came in
  between. Of two who write at the same time every reader agrees that the first one counts and the second is void:
  compare-and-swap with nothing to hold, so a killed writer leaves no lock behind. A request that a retry sent twice is
  void the second time by the same rule.
* An entry holds the hash of the one before it. An entry that was changed, inserted or removed breaks the chain or
  leaves a gap in the numbers. Whoever may write to the whole registry can replace the whole log: against that,
  `anchor.py` keeps the hash of each entry, void ones too, outside the registry.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from components.errors import StepError
from components.tracking.anchor import anchor_of, broken, text_hash
from components.tracking.models import Models


class TamperedError(StepError):
    """Somebody has changed a log."""


class Entry(Protocol):
    @property
    def after(self) -> int: ...  # number of the last entry that the writer knew; 0: none
    @property
    def previous(self) -> str: ...  # that entry's hash


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class Texts:
    """The entries of a log, by number, and those that its anchor does not hold yet."""

    entries: Mapping[int, str]
    unanchored: Mapping[int, str]


def read_texts(log: Models, tag: str, anchored_as: str, entry: str) -> Texts:
    """`entry` is what messages call an entry of this log."""
    anchor = anchor_of(log.server, anchored_as)
    proofs = anchor.proofs() if anchor else []  # before the log: an entry is in the log before it is anchored
    entries = {found.number: found.tags.get(tag, "") for found in log.versions()}
    if anchor and (what := broken(proofs, entries, entry)):
        raise tampered(f"{what}, by what lies at {anchor.location}")
    anchored = {number for number, _ in proofs}
    return Texts(entries, {n: text for n, text in entries.items() if n not in anchored} if anchor else {})


def linked(entries: Mapping[int, str], parse: Callable[[str], E], entry: str) -> Iterator[tuple[int, E, str, bool]]:
    """(number, entry, text, whether it counts) of each entry, in order."""
    hashes, head = {0: ""}, 0
    for number in range(1, max(entries, default=0) + 1):
        if number not in entries:
            raise tampered(f"{entry} {number} is missing")
        text = entries[number]
        try:
            found = parse(text)
        except (ValueError, TypeError):
            raise tampered(f"{entry} {number} can't be read") from None
        if hashes.get(found.after) != found.previous:
            raise tampered(f"{entry} {number} follows {_a(entry)} {found.after} that is gone or changed")
        counts = found.after == head
        if counts:
            hashes[number], head = text_hash(text), number
        yield number, found, text, counts


def _a(entry: str) -> str:
    return f"{'an' if entry[0] in 'aeiou' else 'a'} {entry}"


def tampered(what: str) -> TamperedError:
    return TamperedError(
        f"the audit log was tampered with: {what}. Nothing is decided on it. Find out who can write to the registry, "
        "and restore its database from a backup (docs/how-to/review.md says how)"
    )
