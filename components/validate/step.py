"""Validate: decides whether a dataset may be trained on, before anything expensive starts.

1. open the files of the data contract
2. read items, rows, pictures and vectors once, in batches, into small tables of measurements
3. compare splits with each other and train with the champion's data
4. let Great Expectations hold every table against its rules
5. write the verdict, the statistics, the rows moved aside and the Data Docs; then stop, if a rule says so
"""

from pathlib import Path
from typing import Any

from components import layout
from components.errors import StepError
from components.files import write_json
from components.progress import progress
from components.validate import coherence, contract, drift, expectations, images, leakage, shortcuts, statistics
from components.validate.config import ValidatePolicy
from components.validate.data_docs import write_data_docs
from components.validate.items import Catalogue, read_items
from components.validate.measured import Flagged, Measured
from components.validate.parquet import Source
from components.validate.quarantine import write_quarantine
from components.validate.rows import SplitRows, read_split
from components.validate.splits import find_duplicates, measure_splits
from components.validate.suite import RULES
from components.validate.vectors import Vectors, measure_item_info, measure_vectors
from components.validate.verdict import compile_verdict, outcome, stop_message


def validate(dataset: Path, champion: Path, policy: ValidatePolicy, out: Path) -> dict[str, Any]:
    """Writes verdict.json, statistics.json, quarantine.json and data_docs.html, then raises StepError if it must."""
    if not dataset.is_dir():
        raise StepError(f"{dataset} is not a folder: the ingest step did not finish")
    out.mkdir(parents=True, exist_ok=True)
    before = drift.champion_statistics(champion)
    row_rules = {rule.check.column: rule for rule in RULES if rule.table == "rows"}
    moved = {column: rule.name for column, rule in row_rules.items() if policy.severity(rule) == "quarantine"}
    flagged = Flagged(frozenset(moved))
    measured = Measured()
    sources = contract.open_dataset(dataset)
    with progress("validate", 5, "stories") as bar:
        catalogue = read_items(sources["item_feature"], policy.max_item_id, measured)
        bar.advance(note="items read")
        splits = _read_splits(sources, catalogue, policy, flagged, measured)
        bar.advance(note="rows read")
        images.measure_images(dataset, policy.images_decoded, measured)
        vectors = measure_vectors(sources, measured)
        measure_item_info(sources, catalogue, measured)
        bar.advance(note="content read")
        now = _compare(splits, sources, catalogue, vectors, before, policy, measured)
        contract.measure_files(sources, measured)
        bar.advance(note="splits and champion compared")
        verdict = _judge(policy, measured, write_quarantine(sources, flagged, moved, out))
        bar.advance(note="rules judged")
    write_json(out / "verdict.json", verdict)
    write_json(out / "statistics.json", now)
    write_data_docs(out / "data_docs.html", verdict, now, measured)
    if not verdict["passed"]:
        raise StepError(stop_message(verdict))
    return verdict


def _read_splits(sources: dict[str, Source], catalogue: Catalogue, policy: ValidatePolicy, flagged: Flagged,
                 measured: Measured) -> dict[str, SplitRows]:  # fmt: skip
    splits = {}
    for split in layout.SPLITS:
        if sources[split].usable:
            rows = read_split(sources[split], catalogue, policy.min_history, flagged, measured, policy.examples)
            find_duplicates(rows, flagged, measured, policy.examples)
            splits[split] = rows
    if splits:
        measure_splits(splits, catalogue, flagged, measured)
    else:
        for table in ("rows", "splits"):
            measured.missing(table, "no split could be read")
    return splits


def _compare(splits: dict[str, SplitRows], sources: dict[str, Source], catalogue: Catalogue, vectors: list[Vectors],
             before: dict[str, Any] | None, policy: ValidatePolicy, measured: Measured) -> dict[str, Any]:  # fmt: skip
    """Measures what needs several files at once; returns the statistics of this dataset."""
    train = splits.get("train")
    leakage.measure_leakage(splits, measured, policy.examples)
    shortcuts.measure_shortcuts(splits, sources["train"], catalogue, vectors, measured)
    coherence.measure_coherence(train, catalogue, vectors, measured)
    now = statistics.collect(splits, catalogue, vectors, measured)
    drift.measure_drift(before, now, train, catalogue, measured)
    return now


def _judge(policy: ValidatePolicy, measured: Measured, quarantined: dict[str, int]) -> dict[str, Any]:
    present = tuple(rule for rule in RULES if not measured.why_absent(rule.table, rule.check.column))
    judgements, version = expectations.judge(present, measured, policy)
    outcomes = [outcome(rule, judgements.get(rule.name), measured, policy) for rule in RULES]
    return compile_verdict(outcomes, quarantined, version)
