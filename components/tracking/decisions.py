"""The decisions about a model, one after another: an audit log (chain.py) in which every change is noticed, and which
also settles who decided first.

The log of `mmctr` is the registered model `mmctr-decisions`. Each reviewed version keeps the number and hash of its
decision as a tag, so that a log that was removed is missed.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from components.tracking.anchor import text_hash
from components.tracking.chain import linked, read_texts, tampered
from components.tracking.models import Models, Version
from components.tracking.tags import Status

Action = Literal["approve", "reject", "rollback"]
DECISION = "mmctr.decision"  # on an entry of the log its text, on a reviewed version `number:hash`
_DESCRIPTION = "Decisions about {name}, one a version, chained by hashes. Written by `mmctr review`; never edit."


@dataclass(frozen=True)
class Decision:
    id: str
    after: int  # number of the last decision that the writer knew; 0: none
    previous: str  # that decision's hash
    action: Action
    version: int  # approved, rejected, or gone back to
    champion: int | None  # the champion that the writer saw
    by: str
    note: str
    at: str  # ISO 8601, UTC
    evidence: Mapping[str, str]

    def text(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False)

    def sentence(self) -> str:
        verb = {"approve": "approved", "reject": "rejected", "rollback": "rolled back to"}[self.action]
        return f"{self.by} {verb} version {self.version}: {self.note}"


@dataclass(frozen=True)
class Book:
    """The log as read, and what follows from it."""

    decisions: Mapping[int, Decision] = field(default_factory=dict)  # those that count, by number
    void: Mapping[int, Decision] = field(default_factory=dict)
    hashes: Mapping[int, str] = field(default_factory=lambda: {0: ""})
    champion: int | None = None
    previous: int | None = None
    status: Mapping[int, Status] = field(default_factory=dict)  # of the versions that were decided about
    unanchored: Mapping[int, str] = field(default_factory=dict)  # texts that the anchor does not hold yet, by number

    @property
    def head(self) -> int:
        return max(self.hashes)

    def decision_on(self, version: int) -> tuple[int, Decision] | None:
        """The latest decision that made the version what it is."""
        about = [n for n, d in self.decisions.items() if version in (d.version, *_demoted(d))]
        return (max(about), self.decisions[max(about)]) if about else None

    def approved_hash(self, version: int) -> str | None:
        """The hash of the files that were approved; the first approval holds it, and no later one may change it."""
        kept = [d.evidence.get("package_sha256") for d in self.decisions.values() if d.version == version]
        approved = [n for n, d in self.decisions.items() if d.version == version and d.action != "reject"]
        if approved and not kept[0]:
            raise tampered(f"decision {approved[0]} does not say which files of version {version} were approved")
        return kept[0] if approved else None

    def reference(self, number: int) -> str:
        """What a reviewed version keeps of its decision."""
        return f"{number}:{self.hashes[number]}"


def log_of(models: Models) -> Models:
    return Models(models.server, f"{models.name}-decisions")


def read(models: Models, versions: Iterable[Version]) -> Book:
    """The book of a model; `versions` are its versions, whose tags the log must agree with, and so must the anchor."""
    texts = read_texts(log_of(models), DECISION, models.name, "decision")
    book = dataclasses.replace(fold(texts.entries), unanchored=texts.unanchored)
    for version in versions:
        kept = version.tags.get(DECISION)
        number = int(kept.partition(":")[0]) if kept else 0
        if kept and (number not in book.hashes or book.reference(number) != kept):
            raise tampered(f"version {version.number} was reviewed in decision {number}, which is gone or changed")
    return book


def append(models: Models, decision: Decision) -> None:
    """Writes a decision; whether it counts shows on the next `read`."""
    log = log_of(models)
    log.ensure(_DESCRIPTION.format(name=models.name))
    log.create(f"models:/{models.name}/{decision.version}", {DECISION: decision.text()}, decision.sentence()[:4900])


def fold(entries: Mapping[int, str]) -> Book:
    """Reads the log's texts, by number, one after another, and returns the state that results."""
    book = Book()
    for number, decision, text, counts in linked(entries, lambda text: Decision(**json.loads(text)), "decision"):
        if counts:
            book = _apply(book, number, decision, text)
        else:
            book = dataclasses.replace(book, void={**book.void, number: decision})
    return book


def _apply(book: Book, number: int, decision: Decision, text: str) -> Book:
    if book.decisions and decision.champion != book.champion:
        raise tampered(f"decision {number} names the champion {decision.champion}, the log {book.champion}")
    changes: dict[str, Any] = {}
    status: dict[int, Status] = {**book.status}
    if decision.action == "reject":
        status[decision.version] = "rejected"
        changes = {} if book.decisions else {"champion": decision.champion}
    else:
        changes = {"champion": decision.version, "previous": decision.champion}
        forward = book.status.get(decision.version) == "rolled_back"  # a rollback is undone
        status |= dict.fromkeys(_demoted(decision), "approved" if forward else "rolled_back")
        status[decision.version] = "approved"
    return dataclasses.replace(
        book,
        decisions={**book.decisions, number: decision},
        hashes={**book.hashes, number: text_hash(text)},
        status=status,
        **changes,
    )


def _demoted(decision: Decision) -> list[int]:
    """Versions that a rollback takes out of service."""
    return [decision.champion] if decision.action == "rollback" and decision.champion is not None else []
