"""Scores every row of a split with the version at an alias, in chunks that survive a kill.

Logits are kept in a folder next to the output until all are there (unfinished.py). A chunk is a whole number of
batches, so that a run that was killed makes the same batches as one that was not, and the same bytes. Rows go through
the function that `evaluate` uses.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from components.batches.device import pick_device
from components.batches.rows import RowStore, names_item
from components.batches.scoring import score_logits
from components.dataset.footers import is_integer
from components.dataset.item_ids import in_numbers_of, read_item_ids
from components.dataset.layout import ITEM
from components.errors import StepError, one_line
from components.packages.current_items import published_for, with_current_items
from components.packages.fetch import local_package, version_at
from components.predict.config import PredictConfig
from components.predict.files import check_files, check_rows
from components.predict.unfinished import Unfinished
from components.predict.write import NAMED, WRITERS, Scored
from components.process.progress import progress
from components.schema.encoder import ItemIds
from components.schema.fitted import read_features
from components.storage.files import sha256_file, sha256_json
from components.storage.locks import alone
from components.tracking.models import Models, Version
from components.tracking.tags import PACKAGE_HASH

CHUNK_BATCHES = 16  # batches between two writes


@dataclass(frozen=True)
class Predicted:
    version: int
    item_table: str  # a hash that names the item table that was used
    rows: int
    resumed_at: int  # rows that an earlier, killed run had scored
    unknown: int  # rows whose item the version has never seen
    out: Path


def predict(data: Path, out: Path, models: Models, workspace: Path, config: PredictConfig) -> Predicted:
    """`data` is a dataset folder, or one parquet file of rows. A second process with the same output is refused."""
    parquet = check_files(data, config.split, out)
    with alone(out.with_name(f".{out.name}.lock"), wait=False):
        try:
            return _predict(parquet, out, models, workspace, config)
        except OSError as error:
            raise StepError(
                f"--out {out}: it could not be written ({error.strerror or one_line(error)}); free space or name "
                "another file; with the same --out the next run goes on where this one stopped"
            ) from error


def _check_items(rows: RowStore, parquet: Path) -> None:
    """As the served model refuses them. Negative ids and ids that are too large for a column never get here."""
    wrong = np.flatnonzero(rows.item < 1)
    if len(wrong):
        row = int(wrong[0])
        raise StepError(f"{parquet}: {ITEM}, row {row}: {rows.item[row]}; must be a whole number from 1 to {2**63 - 1}")


def _ids_of(parquet: Path, version: ItemIds) -> ItemIds:
    """What the rows call the items: whole numbers beside an item_ids.parquet are that data set's."""
    column = pq.read_schema(parquet).field(ITEM).type
    return in_numbers_of(read_item_ids(parquet.parent), version) if is_integer(column) else version


def _predict(parquet: Path, out: Path, models: Models, workspace: Path, config: PredictConfig) -> Predicted:
    version = version_at(models, config.alias)
    if version is None:
        have = ", ".join(sorted(models.aliases())) or "none yet"
        raise StepError(f"{models.name} has no version at alias {config.alias!r}; there is: {have}")
    package = local_package(models, version, workspace / "cache" / "models")
    entry = published_for(models, version)
    items = with_current_items(models, entry, package, workspace / "cache" / "models")
    ranker, known = items.ranker, items.known
    features = read_features(package)
    own = items.ids
    check_rows(parquet, (*features.row, *features.event), own.number is not None)
    rows = RowStore.build(parquet, workspace / "cache" / "rows", encoder=features, ids=_ids_of(parquet, own))
    _check_items(rows, parquet)
    device = pick_device(config.device)
    ranker.to(device)
    unfinished = Unfinished.open(out, _key(version, items.item_table, parquet, config), len(rows))
    resumed_at = unfinished.scored
    with progress("predict", len(rows), "rows") as bar:
        bar.advance(resumed_at)
        chunk = config.batch_size * CHUNK_BATCHES
        for start in range(resumed_at, len(rows), chunk):
            which = np.arange(start, min(start + chunk, len(rows)))
            unfinished.append(score_logits(ranker, rows, config.batch_size, device, which, known))
            bar.advance(len(which))
    scored = Scored(parquet, unfinished.logits(), names_item(known, rows.item), items.item_table[:NAMED])
    WRITERS[config.format](scored, out)
    unfinished.remove()
    return Predicted(version.number, items.item_table, len(rows), resumed_at, int((~scored.known).sum()), out)


def _key(version: Version, item_table: str, parquet: Path, config: PredictConfig) -> str:
    return sha256_json([version.tags.get(PACKAGE_HASH), item_table, sha256_file(parquet), config.batch_size])
