"""The files of a registered version, on this machine, checked before anything reads or runs them."""

import shutil
import tempfile
from pathlib import Path

from components.errors import StepError
from components.packages.format import package_hash
from components.storage.locks import alone
from components.tracking.decisions import Book, read
from components.tracking.models import PACKAGE, Models, Version
from components.tracking.tags import CHAMPION, PACKAGE_HASH, PREVIOUS


def version_at(models: Models, alias: str) -> Version | None:
    """The version at an alias. If the alias and the log of decisions differ, the log counts.

    The log is read even where there is no alias: both may have been removed, and the log's anchor remembers.
    """
    found = models.at(alias)
    if alias not in (CHAMPION, PREVIOUS):
        return found
    book = read(models, [found] if found else [])
    decided = book.champion if alias == CHAMPION else book.previous
    return models.version(decided) if book.decisions and decided else found


def expected_hash(models: Models, version: Version, book: Book | None = None) -> str:
    """The hash that a version's files must have: the one in the decision that approved it, or else the one it was
    registered with.
    """
    book = book or read(models, [version])
    approved = book.approved_hash(version.number)
    expected = approved or version.tags.get(PACKAGE_HASH)
    if expected is None:
        raise StepError(f"{models.name} version {version.number} was not made by mmctr: it has no tag {PACKAGE_HASH!r}")
    return expected


def fetch_package(models: Models, version: Version, out: Path) -> Path:
    """The package of a version alone, after all files of the version were checked."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        whole = _download(models, version, Path(scratch), expected_hash(models, version))
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(whole / PACKAGE, out)
    return out


def local_package(models: Models, version: Version, cache: Path) -> Path:
    """Kept in a folder that its hash names, and checked against it each time: a damaged copy is fetched again.

    One process fetches; others that need the same package at that moment wait for it.
    """
    expected = expected_hash(models, version)
    folder = cache / expected
    with alone(cache / f".{expected}.lock"):
        if not (folder.exists() and package_hash(folder) == expected):
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                whole = _download(models, version, Path(scratch) / "files", expected)
                shutil.rmtree(folder, ignore_errors=True)
                shutil.move(whole, folder)
    return folder / PACKAGE


def _download(models: Models, version: Version, out: Path, expected: str) -> Path:
    whole = models.download(version.number, out)
    if package_hash(whole) != expected:
        raise StepError(
            f"the files of {models.name} version {version.number} are not the ones that were registered or approved: "
            f"their hash is not {expected[:16]}…. Do not use this version; reject it or roll back, and run the "
            "pipeline again"
        )
    return whole
