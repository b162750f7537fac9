"""Makes aliases and tags agree with the log, and says what it had to repair.

Every write is one that the log demands, so it may be repeated, and after a kill between two of them the next command
repairs the rest. Two commands may settle at once, one of them from an older reading; each reads again after its writes
and goes on until the log did not grow meanwhile, so the last one to write has seen the newest decision. In between, for
milliseconds, the champion may point at the older of two approved versions.
"""

from dataclasses import dataclass

from components.errors import StepError
from components.tracking.anchor import anchor_of
from components.tracking.decisions import DECISION, Book, read
from components.tracking.models import Models, Version
from components.tracking.tags import CHALLENGER, CHAMPION, PACKAGE_HASH, PREVIOUS, STATUS


@dataclass(frozen=True)
class Registry:
    """One reading of everything that a decision depends on."""

    models: Models
    versions: dict[int, Version]
    aliases: dict[str, int]
    book: Book

    @property
    def champion(self) -> int | None:
        """By the log; before its first decision, what the alias says: a registry may be older than its log."""
        return self.book.champion if self.book.decisions else self.aliases.get(CHAMPION)

    def version(self, number: int) -> Version:
        if number not in self.versions:
            have = ", ".join(map(str, sorted(self.versions))) or "none yet"
            raise StepError(f"{self.models.name} has no version {number}; there is: {have}")
        return self.versions[number]

    def status(self, number: int) -> str:
        return self.book.status.get(number) or self.version(number).tags.get(STATUS, "not made by mmctr")


def look(models: Models) -> Registry:
    # The log is read last, so it is never older than versions and aliases; what it demands beyond them is then
    # repaired.
    aliases = models.aliases()
    versions = {version.number: version for version in models.versions()}
    return Registry(models, versions, aliases, read(models, versions.values()))


def settle(models: Models, rounds: int = 20) -> tuple[Registry, list[str]]:
    """Returns the settled registry and one sentence for each thing that was not as the log says."""
    mended: list[str] = []
    for _ in range(rounds):
        registry = look(models)
        writes = _anchor(registry) + _mend_versions(registry) + _mend_aliases(registry)
        if not writes:
            return registry, mended
        mended += writes
    raise StepError(f"the aliases of {models.name} keep changing: someone else writes to it; try again in a minute")


def _anchor(registry: Registry) -> list[str]:
    """First of all: a decision takes effect when there is proof of it outside the registry."""
    anchor = anchor_of(registry.models.server, registry.models.name)
    if anchor is None or not registry.book.unanchored:
        return []
    for number, text in registry.book.unanchored.items():
        anchor.add(number, text)
    numbers = ", ".join(map(str, registry.book.unanchored))
    return [f"the proof of decision {numbers} was missing at {anchor.location}: put there"]


def _mend_versions(registry: Registry) -> list[str]:
    mended = []
    for number, status in registry.book.status.items():
        version, found = registry.versions.get(number), registry.book.decision_on(number)
        if version is None or found is None:
            continue  # deleted since; the log keeps what was decided
        wanted = {STATUS: status, DECISION: registry.book.reference(found[0])}
        if approved := registry.book.approved_hash(number):
            wanted[PACKAGE_HASH] = approved
            if version.tags.get(PACKAGE_HASH) != approved:
                mended.append(f"version {number} bore another hash than its approved files have: put back")
        for key, value in wanted.items():
            if version.tags.get(key) != value:
                registry.models.set_tag(number, key, value)
        if version.tags.get(STATUS) != status:
            mended.append(f"version {number} is {status} now, by decision {found[0]} ({found[1].sentence()})")
        elif version.tags.get(DECISION) != wanted[DECISION]:
            mended.append(f"version {number} refers to decision {found[0]} now")
    return mended


def _mend_aliases(registry: Registry) -> list[str]:
    book, mended = registry.book, []
    if book.decisions:
        # previous_champion first, so that a rollback is possible at any moment.
        for alias, wanted in ((PREVIOUS, book.previous), (CHAMPION, book.champion)):
            mended += _mend_alias(registry, alias, wanted)
    challenger = registry.aliases.get(CHALLENGER)
    if challenger is not None and challenger in book.status:
        registry.models.delete_alias(CHALLENGER)
        mended.append(f"version {challenger} is decided about and no longer the {CHALLENGER}")
    return mended


def _mend_alias(registry: Registry, alias: str, wanted: int | None) -> list[str]:
    found = registry.aliases.get(alias)
    if found == wanted:
        return []
    if wanted is None:
        registry.models.delete_alias(alias)
        return [f"{alias} stood at version {found}, but the log knows none: taken away"]
    if wanted not in registry.versions:
        raise StepError(f"by the log {alias} is version {wanted}, which was deleted: restore it in MLflow's database")
    registry.models.set_alias(alias, wanted)
    stood = "at no version" if found is None else f"at version {found}"
    return [f"{alias} stood {stood} and is at version {wanted} now, as decision {registry.book.head} says"]
