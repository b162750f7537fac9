"""gate: decides by policy whether a person should be asked, and writes down why, for that person."""

from pathlib import Path
from typing import Any

from components.errors import StepError
from components.files import read_json, write_json
from components.gate.config import GatePolicy
from components.gate.verdict import decide
from components.report.step import write_report


def gate(
    evaluation: Path,
    validation: Path,
    embeddings: Path,
    training: Path,
    dataset: Path,
    champion: Path,
    policy: GatePolicy,
    out: Path,
) -> dict[str, Any]:
    """`verdict.json` and `report.html`. A candidate that fails is a result, not an error: both files are written."""
    metrics = read_json(evaluation / "metrics.json")
    version, compared = read_json(champion / "champion.json")["version"], metrics["champion"]["version"]
    if version != compared:
        raise StepError(f"the champion is version {version}, the evaluation compared with {compared}: evaluate again")
    verdict = decide(metrics, read_json(validation / "verdict.json"), policy)
    write_json(out / "verdict.json", verdict)
    write_report(metrics, verdict, validation, embeddings, training, dataset, out / "report.html")
    return verdict
