"""Fetches the champion of this moment: a folder with its version and its package."""

from pathlib import Path
from typing import Any

from components.packages.fetch import expected_hash, fetch_package, version_at
from components.packages.format import METRICS, auc_of
from components.storage.files import read_json, write_json
from components.tracking.models import models
from components.tracking.runs import refused_starts
from components.tracking.server import Server, sqlite_file, tracking_uri
from components.tracking.tags import CHAMPION


def fetch_champion(name: str, out: Path, server: Server | None = None) -> dict[str, Any]:
    """Writes `champion.json` and `package/`, or only `{"version": null}` if no version was approved yet."""
    out.mkdir(parents=True, exist_ok=True)
    file = sqlite_file(server.uri if server else tracking_uri())
    known = None if file is not None and not file.exists() else models(name, server)
    version = None if known is None else version_at(known, CHAMPION)
    if known is None or version is None:
        write_json(out / "champion.json", {"version": None, "name": name})
        return {"version": None, "name": name}
    package = fetch_package(known, version, out / "package")
    found = {
        "version": str(version.number),
        "name": name,
        "run_id": version.run_id,
        "package_sha256": expected_hash(known, version),
        "refused_starts": refused_starts(known.server, name, version.number, version.run_id),
        "auc": auc_of(read_json(package / METRICS)),
    }
    write_json(out / "champion.json", found)  # written last: it says that the folder is complete
    return found
