"""Lists what is installed, as a CycloneDX software bill of materials, on standard output.

    python sbom.py [VIRTUAL_ENVIRONMENT]

Runs while an image is built, with nothing but the standard library; the same packages give the same bytes.
"""

import json
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any


def python_packages(environment: Path) -> list[dict[str, Any]]:
    found = {}
    folders = [str(folder) for folder in environment.glob("lib/python*/site-packages")]
    for distribution in metadata.distributions(path=folders):
        name, version = distribution.metadata["Name"].lower().replace("_", "-"), distribution.version
        expression = str(distribution.metadata["License-Expression"] or "")
        found[name] = component(name, version, f"pkg:pypi/{name}@{version}", expression)
    return [found[name] for name in sorted(found)]


def system_packages() -> list[dict[str, Any]]:
    if shutil.which("dpkg-query") is None:
        return []
    listing = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${Version}\n"], capture_output=True, text=True, check=True
    )
    pairs = sorted(line.split() for line in listing.stdout.splitlines())
    return [component(name, version, f"pkg:deb/debian/{name}@{version}") for name, version in pairs]


def component(name: str, version: str, purl: str, license_expression: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}
    if license_expression:
        made["licenses"] = [{"expression": license_expression}]
    return made


def bill(environment: Path) -> dict[str, Any]:
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": "mmctr", "bom-ref": "mmctr"}},
        "components": [*python_packages(environment), *system_packages()],
    }


if __name__ == "__main__":
    json.dump(bill(Path(sys.argv[1] if len(sys.argv) > 1 else sys.prefix)), sys.stdout, indent=1)
    sys.stdout.write("\n")
