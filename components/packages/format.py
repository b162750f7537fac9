"""The model package: one folder with all that serving, comparing and approving a version need.

Its files are listed in docs/reference/steps.md.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import StepError
from components.storage.files import sha256_file, sha256_json

if TYPE_CHECKING:
    from model.checkpoint import Header  # loads torch, and `mmctr review` needs none

RANKER, PROGRAM, CONFIG = "ranker.safetensors", "ranker.pt2", "config.json"
STATISTICS, PROJECTION, MANIFEST = "statistics.json", "projection.npz", "manifest.json"
METRICS, VERDICT, LINEAGE = "metrics.json", "verdict.json", "lineage.json"
CHAIN, NEWEST_TIME = "chain", "newest_time"  # in the header of the ranker's file, see train/start.py
ENCODER = "encoder.py"  # a copy of components/schema/encoder.py: the served model encodes raw rows with it
# What every package has. Packages of earlier versions lack encoder.py and features.json (components/schema/fitted.py).
FILES = (RANKER, PROGRAM, CONFIG, STATISTICS, PROJECTION, MANIFEST, METRICS, VERDICT, LINEAGE)


def package_hash(package: Path) -> str:
    """One hash over names and contents: a file that was changed, added or removed changes it.

    Of a version it is the hash of all its files: the package, and the code, `MLmodel` and requirements around it.
    """
    files = {str(path.relative_to(package)): sha256_file(path) for path in package.rglob("*") if path.is_file()}
    missing = sorted(set(FILES) - {Path(name).name for name in files})
    if missing:
        raise StepError(f"the model package {package} has no {missing[0]}: register the candidate again")
    return sha256_json(files)


def chain_of(ranker: "Header") -> int:
    """How many trainings in a row started from a champion to make this ranker."""
    return int(ranker.meta.get(CHAIN, 0))


def auc_of(metrics: Mapping[str, Any]) -> float:
    """The AUC in `metrics.json`, as `evaluate` writes it."""
    return float(metrics["candidate"]["auc"]["value"])
