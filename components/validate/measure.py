"""Reads a dataset once, in batches, and measures everything that the rules check."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.dataset import layout
from components.process.progress import Progress
from components.schema.declared import Schema, read_schema
from components.schema.encoder import Encoder
from components.validate import coherence, contract, drift, images, leakage, shortcuts, statistics
from components.validate.catalogue import Catalogue, read_items
from components.validate.config import ValidatePolicy
from components.validate.features import Features, measure_features
from components.validate.measured import Flagged, Line, Measured
from components.validate.parquet import ContractFile
from components.validate.rows import SplitRows, read_split
from components.validate.splits import find_duplicates, measure_splits
from components.validate.vectors import Vectors, measure_item_info, measure_vectors

STORIES = 4  # what `bar` counts


@dataclass(frozen=True)
class Reading:
    sources: dict[str, ContractFile]
    measured: Measured
    flagged: Flagged
    encoder: Encoder | None  # what was fitted on train, where all declared features could be
    features: list[Line]  # what was measured of each declared feature
    statistics: dict[str, Any]


def measure(dataset: Path, champion: Path, policy: ValidatePolicy, moved: frozenset[str], bar: Progress) -> Reading:
    """`moved` names the columns of the table `rows` whose rows are moved aside."""
    measured, flagged = Measured(), Flagged(moved)
    sources = contract.open_dataset(dataset)
    schema = read_schema(dataset)
    catalogue = read_items(sources["item_feature"], schema, policy.max_item_id, measured)
    bar.advance(note="items read")
    splits = _read_splits(sources, schema, catalogue, policy, flagged, measured)
    features = measure_features(schema, sources, splits, flagged, drift.champion_features(champion), measured)
    bar.advance(note="rows read")
    images.measure_images(dataset, policy.images_decoded, measured)
    vectors = measure_vectors(sources, measured)
    measure_item_info(sources, catalogue, measured)
    bar.advance(note="content read")
    now = _compare(splits, sources, catalogue, vectors, features, flagged, champion, policy, measured)
    contract.measure_files(sources, measured)
    bar.advance(note="splits and champion compared")
    return Reading(sources, measured, flagged, features.encoder, features.lines, now)


def _read_splits(
    sources: dict[str, ContractFile],
    schema: Schema,
    catalogue: Catalogue,
    policy: ValidatePolicy,
    flagged: Flagged,
    measured: Measured,
) -> dict[str, SplitRows]:
    splits = {}
    for split in layout.SPLITS:
        if sources[split].usable:
            rows = read_split(sources[split], schema, catalogue, flagged, measured, policy.examples)
            find_duplicates(rows, flagged, measured, policy.examples)
            splits[split] = rows
    if splits:
        measure_splits(splits, catalogue, flagged, policy.min_history, measured)
    else:
        for table in ("rows", "splits"):
            measured.missing(table, "no split could be read")
    return splits


def _compare(
    splits: dict[str, SplitRows],
    sources: dict[str, ContractFile],
    catalogue: Catalogue,
    vectors: list[Vectors],
    features: Features,
    flagged: Flagged,
    champion: Path,
    policy: ValidatePolicy,
    measured: Measured,
) -> dict[str, Any]:
    """Measures what needs several files at once; returns the statistics of this dataset."""
    train = splits.get("train")
    leakage.measure_leakage(splits, sources["train"], measured, policy.examples)
    shortcuts.measure_shortcuts(splits, sources["train"], catalogue, vectors, features.alone, measured)
    coherence.measure_coherence(train, catalogue, vectors, measured)
    now = statistics.collect(splits, catalogue, vectors, features, flagged, measured)
    drift.measure_drift(champion, now, train, catalogue, features, measured)
    return now
