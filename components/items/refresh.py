"""Publishes an item table for the champion: items that are new or changed, as its own encoders see them.

The file is uploaded first and belongs to no version; one entry of the log then publishes it. So a kill leaves what was
published as it was, and the next refresh, which makes the same file again, finds what is missing. Of two refreshes at
once the first entry counts.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.embed.apply import encode_as_fitted
from components.embed.config import EmbedConfig
from components.errors import StepError
from components.items.compare import difference, refuse_other_features, refuse_other_numbers, rows_of
from components.packages.format import CONFIG, MANIFEST, PROJECTION, RANKER
from components.packages.item_rows import COLUMNS, ItemRows, table_hash
from components.packages.scores import known_items
from components.schema.fitted import read_features
from components.settings import from_dict
from components.storage.files import read_json
from components.tracking import item_tables
from components.tracking.models import Models
from components.tracking.runs import TrackedRun, run_for
from model.checkpoint import load

CHECKED = 64  # items that are encoded once more before the table is published


@dataclass(frozen=True)
class Refreshed:
    version: int
    table: str  # hash of the table that counts now; empty: the version's own
    published: bool  # otherwise it had been published before
    new: int
    changed: int
    encoded: int  # texts and pictures

    def sentence(self) -> str:
        if not self.table:
            return f"version {self.version} knows all items as they are: nothing was published"
        counts = f"{self.new:,} new and {self.changed:,} changed items"
        if not self.published:
            return f"the item table {self.table[:16]} of version {self.version} holds these items already: {counts}"
        return f"published the item table {self.table[:16]} of version {self.version}: {counts}"


@dataclass(frozen=True)
class _Made:
    rows: ItemRows
    new: int
    changed: int
    encoded: int


def refresh(
    dataset: Path, champion: Path, models: Models, cache: str | Path, by: str, note: str, run: TrackedRun | None = None
) -> Refreshed:
    """`champion` is what fetch-champion wrote, `cache` that of the embed step. `run` keeps the table; without one, an
    MLflow run of its own does.
    """
    about = read_json(champion / "champion.json")
    if about["version"] is None:
        raise StepError(f"{models.name} has no champion yet, so there is nothing to refresh: see `mmctr review list`")
    version, package_hash = int(about["version"]), str(about["package_sha256"])
    entry = item_tables.new_entry("publish", version, package_hash, by, note)  # raises before anything is encoded
    made = _make(dataset, champion / "package", cache, version, package_hash)
    content = made.rows.to_bytes()
    table = table_hash(content)
    tables = item_tables.settle(models)
    current = tables.current(version, package_hash)
    done = Refreshed(version, table, False, made.new, made.changed, made.encoded)
    if current is None and not len(made.rows.ids):
        return replace(done, table="")
    if current is not None and current.table == table:
        return done
    if stopped := tables.revoked(version, table):
        raise StepError(f"{stopped.sentence()}. The same table is not published again: mend the items first")
    own = run or run_for(f"items-{version}-{table[:16]}", _section(champion / "package", "experiment"), models.server)
    with tempfile.TemporaryDirectory(prefix="mmctr-items-") as scratch:
        file = Path(scratch) / item_tables.FILE
        file.write_bytes(content)
        item_tables.upload(models, own.run_id, file)
    facts = {"new": made.new, "changed": made.changed}
    item_tables.add(models, tables, replace(entry, table=table, run_id=own.run_id, facts=facts))
    own.log_metrics({"items/new": made.new, "items/changed": made.changed, "items/encoded": made.encoded})
    if run is None:
        own.finish("FINISHED")
    return replace(done, published=True)


def _make(dataset: Path, package: Path, cache: str | Path, version: int, package_hash: str) -> _Made:
    ranker, features = load(package / RANKER), read_features(package)
    refuse_other_features(dataset, features, version)  # before anything is encoded
    refuse_other_numbers(dataset, package, version)
    config = from_dict(EmbedConfig, _section(package, "embed"))
    found = encode_as_fitted(dataset, package / PROJECTION, read_json(package / MANIFEST), config, cache)
    rows = rows_of(dataset, found, ranker, features, (version, package_hash))
    known = known_items(package, ranker.vocabulary.items)
    differs = difference(rows, ranker, known)
    places = np.sort(np.concatenate([differs.new, differs.changed]))
    columns = {name: getattr(rows, name)[places] for name in COLUMNS}
    rows = replace(rows, **columns)
    _check(rows, ranker, known)
    return _Made(rows, len(differs.new), len(differs.changed), found.encoded)


def _check(rows: ItemRows, ranker: Any, known: Any) -> None:
    """Raises StepError if the version can't read the items, or would encode another item than before."""
    try:
        grown, _ = rows.on(ranker, known)
    except (ValueError, RuntimeError, IndexError) as error:
        raise StepError(f"version {rows.version} can't take these items ({error}): train a new version") from None
    others = np.setdiff1d(np.flatnonzero(known), rows.ids)[:CHECKED]
    with torch.inference_mode():
        before, after = (one.encode(torch.from_numpy(others)).items_UD for one in (ranker, grown))
        of_table = grown.encode(torch.from_numpy(rows.ids[:CHECKED])).items_UD
    if not torch.equal(before, after) or not bool(torch.isfinite(of_table).all()):
        raise StepError(f"version {rows.version} does not encode these items faithfully: nothing was published")


def _section(package: Path, name: str) -> Any:
    return read_json(package / CONFIG)[name]
