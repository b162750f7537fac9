"""The champion of this moment, as a folder: which version it is, and its package."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from components.errors import StepError
from components.files import read_json, write_json
from components.register.package import METRICS, auc_of, package_hash
from components.register.tags import CHAMPION, PACKAGE_HASH
from components.tracking.models import Models, Version, models
from components.tracking.server import sqlite_file, tracking_uri


def fetch_champion(name: str, out: Path) -> dict[str, Any]:
    """Writes `champion.json` and `package/`; `{"version": null}` alone while no version was ever approved."""
    out.mkdir(parents=True, exist_ok=True)
    file = sqlite_file(tracking_uri())
    version = None if file is not None and not file.exists() else models(name).at(CHAMPION)
    if version is None:
        write_json(out / "champion.json", {"version": None, "name": name})
        return {"version": None, "name": name}
    package = fetch_package(name, version, out / "package")
    found = {
        "version": str(version.number),
        "name": name,
        "run_id": version.run_id,
        "package_sha256": version.tags[PACKAGE_HASH],
        "auc": auc_of(read_json(package / METRICS)),
    }
    write_json(out / "champion.json", found)  # last: with it the folder is whole
    return found


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
