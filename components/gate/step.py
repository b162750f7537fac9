"""gate: decides by a policy whether a person should be asked to approve, and writes the report for that person."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from components.artifacts import Artifacts
from components.errors import StepError
from components.gate.config import GatePolicy
from components.gate.verdict import decide
from components.report.step import write_report
from components.storage.files import read_json, write_json


def gate(
    made: Artifacts, policy: GatePolicy, pipeline_run: str, out: Path, today: date | None = None
) -> dict[str, Any]:
    """`verdict.json` and `report.html`. A candidate that fails is a result, not an error: both files are written.

    The report names the pipeline run, by which the reviewer's commands find the version: it has no number yet.
    """
    metrics = read_json(made.evaluation / "metrics.json")
    version, compared = read_json(made.champion / "champion.json")["version"], metrics["champion"]["version"]
    if version != compared:
        raise StepError(f"the champion is version {version}, the evaluation compared with {compared}: evaluate again")
    verdict = decide(metrics, read_json(made.validation / "verdict.json"), policy)
    write_json(out / "verdict.json", verdict)
    write_report(made, metrics, verdict, pipeline_run, today or datetime.now(UTC).date(), out / "report.html")
    return verdict
