"""Validate: decides whether a dataset may be trained on, before anything expensive starts.

1. read the files of the data contract once, in batches, into small tables of measurements
2. let Great Expectations check every table by its rules
3. write the verdict, the statistics, the rows moved aside and the Data Docs
4. stop, if a rule says so
"""

import shutil
from pathlib import Path
from typing import Any

from components.dataset.item_ids import read_item_ids
from components.dataset.layout import ITEM_IDS
from components.errors import StepError
from components.process.progress import progress
from components.schema.fitted import FEATURES
from components.storage.files import write_json
from components.validate import expectations
from components.validate.config import ValidatePolicy
from components.validate.data_docs import write_data_docs
from components.validate.measure import STORIES, measure
from components.validate.measured import Measured
from components.validate.quarantine import write_quarantine
from components.validate.suite import RULES
from components.validate.verdict import compile_verdict, outcome, stop_message


def validate(dataset: Path, champion: Path, policy: ValidatePolicy, out: Path) -> dict[str, Any]:
    """Returns the verdict that it wrote; raises StepError, after writing, when the run must stop."""
    if not dataset.is_dir():
        raise StepError(f"{dataset} is not a folder: the ingest step did not finish")
    moved = {
        rule.check.column: rule.name for rule in RULES if rule.table == "rows" and policy.severity(rule) == "quarantine"
    }
    out.mkdir(parents=True, exist_ok=True)
    if read_item_ids(dataset).number is not None:
        shutil.copyfile(dataset / ITEM_IDS, out / ITEM_IDS)
    with progress("validate", STORIES + 1, "stories") as bar:
        reading = measure(dataset, champion, policy, frozenset(moved), bar)
        verdict = _judge(policy, reading.measured, write_quarantine(reading.sources, reading.flagged, moved, out))
        bar.advance(note="rules judged")
    verdict["features"] = reading.features
    write_json(out / "verdict.json", verdict)
    if reading.encoder is not None:
        write_json(out / FEATURES, reading.encoder.to_json())
    write_json(out / "statistics.json", reading.statistics)
    write_data_docs(out / "data_docs.html", verdict, reading.statistics, reading.measured)
    if not verdict["passed"]:
        raise StepError(stop_message(verdict))
    return verdict


def _judge(policy: ValidatePolicy, measured: Measured, quarantined: dict[str, int]) -> dict[str, Any]:
    present = tuple(rule for rule in RULES if not measured.why_absent(rule.table, rule.check.column))
    judgements, version = expectations.judge(present, measured, policy)
    outcomes = [outcome(rule, judgements.get(rule.name), measured, policy) for rule in RULES]
    return compile_verdict(outcomes, quarantined, version)
