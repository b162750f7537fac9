"""The model package: one folder with all that serving, comparing and approving a version need (docs/steps.md)."""

import shutil
from pathlib import Path

import torch

from components.config import RunConfig, to_dict
from components.errors import StepError
from components.files import atomic_path, sha256_file, sha256_json, write_json
from model import checkpoint
from model.ranker import Ranker

RANKER, PROGRAM, CONFIG = "ranker.safetensors", "ranker.pt2", "config.json"
STATISTICS, PROJECTION, MANIFEST = "statistics.json", "projection.npz", "manifest.json"
METRICS, VERDICT, LINEAGE = "metrics.json", "verdict.json", "lineage.json"
FILES = (RANKER, PROGRAM, CONFIG, STATISTICS, PROJECTION, MANIFEST, METRICS, VERDICT, LINEAGE)


def build_package(
    dataset: Path, validation: Path, embeddings: Path, training: Path, evaluation: Path, decision: Path,
    config: RunConfig, out: Path,
) -> str:  # fmt: skip
    """Fills `out` and returns the hash of its content."""
    out.mkdir(parents=True, exist_ok=True)
    for source, name in (
        (training / "model.safetensors", RANKER),
        (validation / STATISTICS, STATISTICS),
        (embeddings / PROJECTION, PROJECTION),
        (embeddings / MANIFEST, MANIFEST),
        (evaluation / METRICS, METRICS),
        (decision / VERDICT, VERDICT),
        (dataset / LINEAGE, LINEAGE),
    ):
        if not source.is_file():
            raise StepError(f"{source} is missing: the step that writes it did not finish; run the pipeline again")
        shutil.copyfile(source, out / name)
    write_json(out / CONFIG, to_dict(config))
    export(checkpoint.load(out / RANKER), out / PROGRAM)
    return package_hash(out)


def export(ranker: Ranker, path: Path) -> None:
    """The network with its weights and item table as a program that runs without this project's code."""
    rows = torch.ones(3, dtype=torch.int64)  # any size but 0 and 1, which torch.export would take for constants
    history = torch.ones(3, 7, dtype=torch.int64)
    free = torch.export.Dim.DYNAMIC
    shapes = ({0: free, 1: free}, {0: free}, {0: free}, {0: free})
    with torch.no_grad():
        program = torch.export.export(ranker.eval(), (history, rows, rows, rows), dynamic_shapes=shapes)
    with atomic_path(path) as scratch:
        beside = scratch.with_suffix(".pt2")  # torch insists on the suffix
        torch.export.save(program, str(beside))
        beside.replace(scratch)


def package_hash(package: Path) -> str:
    """One hash over names and contents: a file that was changed, added or removed changes it."""
    files = {str(path.relative_to(package)): sha256_file(path) for path in package.rglob("*") if path.is_file()}
    missing = sorted(set(FILES) - set(files))
    if missing:
        raise StepError(f"the model package {package} has no {missing[0]}: register the candidate again")
    return sha256_json(files)
