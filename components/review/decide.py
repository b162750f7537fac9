"""List, show, approve, reject, roll back. A decision is one entry of the log; everything else follows from it.

Each command first repairs what an earlier one left unfinished, then checks, appends its decision, and reads the log
again, because only the log can say whether this decision or another person's came first.
"""

import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.errors import StepError
from components.packages.fetch import expected_hash, fetch_package
from components.packages.format import METRICS, VERDICT
from components.review.settle import Registry, look, settle
from components.storage.files import read_json, sha256_file
from components.storage.objects import StoreRefusedError
from components.tracking.decisions import Action, Decision, append
from components.tracking.models import Models, Version
from components.tracking.runs import REPORT, run_of
from components.tracking.server import RegistryRefusedError
from components.tracking.tags import COMPARED_WITH, GATE, NO_CHAMPION, PACKAGE_HASH


@dataclass(frozen=True)
class DecisionResult:
    sentence: str
    mended: list[str]  # what an earlier command had left unfinished
    champion: int | None
    previous: int | None


@dataclass(frozen=True)
class Reviewer:
    """Who decides, and why: both are kept for ever."""

    by: str
    note: str

    def __post_init__(self) -> None:
        for field, value in (("--by", self.by), ("--note", self.note)):
            if not value.strip():
                raise ValueError(f"{field} is empty: the log keeps who decided and why")


def approve(models: Models, number: int, reviewer: Reviewer) -> DecisionResult:
    registry, mended = settle(models)
    version = registry.version(number)
    if registry.champion == number:
        return _already(registry, number, mended)
    _refuse_unless_pending(registry, number, "approved")
    evidence = check(registry, version)
    return _decide(registry, "approve", number, reviewer, evidence, mended)


def reject(models: Models, number: int, reviewer: Reviewer) -> DecisionResult:
    registry, mended = settle(models)
    version = registry.version(number)
    if registry.book.status.get(number) == "rejected":
        return _already(registry, number, mended)
    _refuse_unless_pending(registry, number, "rejected")
    return _decide(registry, "reject", number, reviewer, _evidence(version), mended)


def rollback(models: Models, reviewer: Reviewer, forward: bool = False) -> DecisionResult:
    """The champion and the one before it change places, if the files to go back to are still the approved ones.

    After a rollback the previous champion is the one that was taken out of service. To return to it, `forward` is
    needed. Otherwise two people who roll back in the same minute would undo each other.
    """
    registry, mended = settle(models)
    book = registry.book
    if book.previous is None:
        raise StepError(
            f"{models.name} has no previous champion to go back to; `mmctr review list` shows what there is"
        )
    rolled_back = registry.status(book.previous) == "rolled_back"
    if rolled_back and not forward:
        number, decision = book.decision_on(book.previous) or (0, None)
        raise StepError(
            f"version {book.champion} is back in service already, by decision {number} "
            f"({decision.sentence() if decision else ''}); to return to version {book.previous} use --forward"
        )
    if forward and not rolled_back:
        raise StepError(f"--forward undoes a rollback, and the last change of {models.name}'s champion was none")
    target = registry.version(book.previous)
    with tempfile.TemporaryDirectory(prefix="mmctr-review-") as scratch:
        fetch_package(models, target, Path(scratch) / "package")
    return _decide(
        registry, "rollback", target.number, reviewer, {"package_sha256": expected_hash(models, target, book)}, mended
    )


def check(registry: Registry, version: Version) -> dict[str, str]:
    """Checks that a candidate is what was registered; returns what was seen, for the log."""
    name, number = registry.models.name, version.number
    if version.tags.get(GATE) != "pass":
        raise StepError(f"{name} version {number} did not pass the gate ({GATE} = {version.tags.get(GATE)!r})")
    champion = str(registry.champion or NO_CHAMPION)
    compared_with = version.tags.get(COMPARED_WITH)
    if compared_with != champion:
        raise StepError(
            f"{name} version {number} was compared with champion {compared_with}, but the champion is {champion} now: "
            "run the pipeline again, it compares with the new one"
        )
    with tempfile.TemporaryDirectory(prefix="mmctr-review-") as scratch:
        package = fetch_package(registry.models, version, Path(scratch) / "package")
        if read_json(package / VERDICT).get("passed") is not True:
            raise StepError(f"{name} version {number}: the verdict in its package is not a pass; reject it")
        return {**_evidence(version), "verdict_sha256": sha256_file(package / VERDICT), "compared_with": champion}


def survey(models: Models) -> tuple[Registry, list[str]]:
    """The settled registry, or, if the account may only read, the registry as it is."""
    try:
        return settle(models)
    except (RegistryRefusedError, StoreRefusedError):
        return look(models), ["an earlier command did not finish; the next decision of a promoter mends it"]


def inspect(models: Models, number: int) -> dict[str, Any]:
    """All that is known of one version: the numbers and the verdict of its package, its run and its report as well."""
    registry, mended = survey(models)
    version = registry.version(number)
    with tempfile.TemporaryDirectory(prefix="mmctr-review-") as scratch:
        package = fetch_package(models, version, Path(scratch) / "package")
        metrics, verdict = read_json(package / METRICS), read_json(package / VERDICT)
    decisions = {n: d for n, d in registry.book.decisions.items() if number in (d.version, d.champion)}
    run = run_of(models.server, version.run_id) if version.run_id else None
    return {
        "registry": registry,
        "version": version,
        "metrics": metrics,
        "verdict": verdict,
        "decisions": decisions,
        "run": run and run.url(),
        "report": run and run.address_of(REPORT),
        "mended": mended,
    }


def _decide(
    registry: Registry,
    action: Action,
    number: int,
    reviewer: Reviewer,
    evidence: Mapping[str, str],
    mended: list[str],
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> DecisionResult:
    book = registry.book
    decision = Decision(
        id=uuid.uuid4().hex,
        after=book.head,
        previous=book.hashes[book.head],
        action=action,
        version=number,
        champion=registry.champion,
        by=reviewer.by,
        note=reviewer.note,
        at=clock().isoformat(timespec="seconds"),
        evidence=evidence,
    )
    try:
        append(registry.models, decision)
        after, _ = settle(registry.models)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(_after_an_interrupt(registry.models, decision))
        raise
    if decision.id not in {d.id for d in after.book.decisions.values()}:
        winner = after.book.decisions[min(n for n in after.book.decisions if n > book.head)]
        raise StepError(
            f"someone else decided first ({winner.sentence()}), so this decision does not count. Version {number} is "
            f"{after.status(number)}; look at `mmctr review list` and decide again"
        )
    return DecisionResult(f"{decision.sentence()}.", mended, after.champion, after.book.previous)


def _after_an_interrupt(models: Models, decision: Decision) -> str:
    """Whether an interrupted decision counts; a request that was under way may still reach the log afterwards."""
    if decision.id in {kept.id for kept in look(models).book.decisions.values()}:
        return f"the decision was taken ({decision.sentence()}); the next command brings aliases and tags in line"
    return "the log does not hold the decision; look at `mmctr review list` before you decide again"


def _already(registry: Registry, number: int, mended: list[str]) -> DecisionResult:
    found = registry.book.decision_on(number)
    by = f", by decision {found[0]} ({found[1].sentence()})" if found else ""
    return DecisionResult(
        f"version {number} is {registry.status(number)} already{by}.", mended, registry.champion, registry.book.previous
    )


def _refuse_unless_pending(registry: Registry, number: int, wanted: str) -> None:
    status = registry.status(number)
    if status != "pending":
        found = registry.book.decision_on(number)
        why = f": {found[1].sentence()}" if found else ""
        raise StepError(f"version {number} can't be {wanted}, it is {status}{why}")


def _evidence(version: Version) -> dict[str, str]:
    return {"package_sha256": version.tags.get(PACKAGE_HASH, "")}
