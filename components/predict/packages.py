"""The package of a version on this machine, fetched once."""

from pathlib import Path

from components.register.champion import fetch_package
from components.register.package import package_hash
from components.register.tags import PACKAGE_HASH
from components.tracking.models import Models, Version


def local_package(models: Models, version: Version, cache: Path) -> Path:
    """The folder is named by the hash of its content, and checked against it: a damaged copy is fetched again."""
    expected = version.tags.get(PACKAGE_HASH, "unknown")
    folder = cache / expected
    if folder.exists() and package_hash(folder) == expected:
        return folder
    return fetch_package(models.name, version, folder, models)
