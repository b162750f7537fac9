"""The package of a registered version, on this machine, checked against the hash that it was registered with."""

import shutil
import tempfile
from pathlib import Path

from components.errors import StepError
from components.packages.format import package_hash
from components.tracking.models import Models, Version, models
from components.tracking.tags import PACKAGE_HASH


def fetch_package(name: str, version: Version, out: Path, registry: Models | None = None) -> Path:
    """The package of a version, checked against the hash that it was registered with."""
    expected = version.tags.get(PACKAGE_HASH)
    if expected is None:
        raise StepError(f"{name} version {version.number} was not made by mmctr: it has no tag {PACKAGE_HASH!r}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        package = (registry or models(name)).download_package(version.number, Path(scratch))
        if package_hash(package) != expected:
            raise StepError(
                f"the files of {name} version {version.number} are not the ones that were registered: their hash "
                f"differs from the tag {PACKAGE_HASH!r}. Do not use it: reject it, and run the pipeline again"
            )
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(package, out)
    return out


def local_package(models: Models, version: Version, cache: Path) -> Path:
    """The folder is named by the hash of its content, and checked against it: a damaged copy is fetched again."""
    expected = version.tags.get(PACKAGE_HASH, "unknown")
    folder = cache / expected
    if folder.exists() and package_hash(folder) == expected:
        return folder
    return fetch_package(models.name, version, folder, models)
