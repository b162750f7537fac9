"""`mmctr import log`: from the files that a team has to a data set, or to one line that says what is wrong."""

import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from components.dataset.importers.log.covers import copy_covers
from components.dataset.importers.log.engine import Engine, name
from components.dataset.importers.log.negatives import POLICIES
from components.dataset.importers.log.rows import EVENTS_AT_ONCE, Plan, Written, read_pools, write_splits
from components.dataset.importers.log.source import Source, open_source
from components.dataset.importers.log.tables import Loaded, load, of_items
from components.dataset.importers.report import ImportReport
from components.dataset.layout import IMPORTED, ITEM, ITEM_IDS, MAX_HISTORY, SPLITS, USER_IDS, item_feature_path
from components.errors import StepError
from components.schema.declared import FILE, Schema, read_schema_file
from components.storage.files import full_disk_in_one_line, sha256_file, whole_folder, write_json


@dataclass(frozen=True)
class LogImport:
    log: Path
    features: Path  # a features.yaml with the section `log`
    out: Path
    items: Path | None = None
    covers: Path | None = None
    ids_from: Path | None = None  # an earlier data set, whose ids stay as they are
    negatives: tuple[str, ...] = ("uniform", "recent")  # only where the log has no label
    train: float = 0.8  # share of the events, in the order of time
    valid: float = 0.1
    history: int = 50
    min_history: int = 1
    seed: int = 1
    memory_mb: int = 1000

    def __post_init__(self) -> None:
        for policy in self.negatives:
            if policy not in POLICIES:
                raise ValueError(f"--negatives {policy!r}: must be one of {', '.join(POLICIES)}, or several of them")
        for option, value, low, high in (
            ("--history", self.history, 1, MAX_HISTORY),
            ("--min-history", self.min_history, 0, self.history),
            ("--seed", self.seed, 0, 2**63 - 1),
            ("--memory-mb", self.memory_mb, 100, 10**7),
        ):
            if not low <= value <= high:
                raise ValueError(f"{option} {value}: must be a whole number from {low} to {high}")
        if not (0 < self.train < 1 and 0 < self.valid < 1 and self.train + self.valid < 1):
            raise ValueError(
                f"--train {self.train} and --valid {self.valid}: must be shares above 0 that leave a part for test"
            )


def import_log(settings: LogImport) -> ImportReport:
    """Writes the data set beside `out` and lets it take that place when it is whole."""
    if not settings.features.is_file():
        raise StepError(f"{settings.features} is not there: mmctr init proposes one for your files")
    schema = read_schema_file(settings.features)
    with full_disk_in_one_line(settings.out), whole_folder(settings.out, IMPORTED) as folder:
        working = folder / ".working"
        working.mkdir()
        engine = Engine(working, settings.memory_mb)
        try:
            lines = _convert(engine, settings, schema, folder)
        finally:
            engine.close()
            shutil.rmtree(working)
    return ImportReport(tuple(lines))


def _convert(engine: Engine, settings: LogImport, schema: Schema, folder: Path) -> list[str]:
    log = open_source(engine, settings.log, "the log")
    items = open_source(engine, settings.items, "the item table") if settings.items else None
    loaded = load(engine, log, items, schema, settings.ids_from)
    _require_clicks(engine, log, loaded, settings)
    ends = None if loaded.given_splits else _split_ends(engine, log, settings)
    pools = None if loaded.labelled else read_pools(engine, folder / ".working")
    plan = Plan(
        loaded, ends, settings.history, settings.min_history, () if loaded.labelled else settings.negatives, pools
    )
    written = write_splits(engine, folder, plan, np.random.default_rng(settings.seed))
    for split in SPLITS:
        if not written.rows[split]:
            raise StepError(
                f"{log.path}: {split} would have no rows, because nobody in it had clicked "
                f"{settings.min_history} items before: give more of the log, other shares, or --min-history 0"
            )
    _write(engine, f"SELECT id, raw FROM {Path(USER_IDS).stem} ORDER BY id", folder / USER_IDS)
    _write(engine, f"SELECT id, raw FROM {Path(ITEM_IDS).stem} ORDER BY id", folder / ITEM_IDS)
    _write_items(engine, items is not None, schema, item_feature_path(folder))
    shutil.copyfile(settings.features, folder / FILE)
    lines = _report(engine, log, loaded, written)
    if settings.covers is not None:
        named = schema.log is not None and schema.log.cover is not None
        lines.append(copy_covers(engine, settings.covers, named, folder))
    write_json(folder / IMPORTED, _record(settings, [log, *([items] if items else [])], loaded, written))
    return lines


def _split_ends(engine: Engine, log: Source, settings: LogImport) -> tuple[int, int]:
    """The moments at which valid and test begin. Events of one moment are never parted."""
    (events,) = engine.row("SELECT count(*) FROM events")
    # DuckDB rounds q * events up, so the half finds the event with exactly this many before it.
    places = [(int(events * share) + 0.5) / events for share in (settings.train, settings.train + settings.valid)]
    first, ends = engine.row(
        f"SELECT min(time), quantile_disc(time, {[min(place, 1.0) for place in places]}) FROM events"
    )
    if not first < ends[0] < ends[1]:
        (moments,) = engine.row("SELECT count(DISTINCT time) FROM events")
        raise StepError(
            f"{log.path}: {events:,} events at {moments:,} moments can't be split by time into "
            f"{settings.train:.0%} train and {settings.valid:.0%} valid: give more of the log or other "
            f"shares, or name a column with the split in log.split of {FILE}"
        )
    return int(ends[0]), int(ends[1])


def _require_clicks(engine: Engine, log: Source, loaded: Loaded, settings: LogImport) -> None:
    clicks, events = engine.row("SELECT count(*) FILTER (clicked), count(*) FROM events")
    if not clicks:
        raise StepError(f"{log.path} has no clicks: each of its {events:,} labels is 0, so there is nothing to learn")
    if clicks == events and loaded.labelled:
        raise StepError(
            f"{log.path} has clicks alone: each of its {events:,} labels is 1. Leave log.label out of {FILE}; the "
            "import then draws items that were not clicked"
        )
    if not loaded.labelled and not settings.negatives:
        raise StepError(f"{log.path} has clicks alone, so --negatives must name a policy: {', '.join(POLICIES)}")


def _write(engine: Engine, query: str, path: Path) -> None:
    writer: pq.ParquetWriter | None = None
    for batch in engine.batches(query, EVENTS_AT_ONCE):
        writer = writer or pq.ParquetWriter(path, batch.schema, compression="zstd")
        writer.write_batch(batch)
    assert writer is not None  # no log without users, no users without items
    writer.close()


def _write_items(engine: Engine, listed: bool, schema: Schema, path: Path) -> None:
    if not listed:  # a title is needed, and the id is all that is known
        _write(engine, f"SELECT id AS {ITEM}, raw AS item_title FROM item_ids WHERE listed ORDER BY id", path)
        return
    columns = [name("item_title")]
    if schema.log is not None and schema.log.tags:
        columns.append("item_tags")
    columns += [name(feature.name) for feature in of_items(schema)]
    query = f"SELECT id AS {ITEM}, {', '.join(columns)} FROM item_ids JOIN items USING (raw) ORDER BY id"
    _write(engine, query, path)


def _report(engine: Engine, log: Source, loaded: Loaded, written: Written) -> list[str]:
    users, items = (engine.row(f"SELECT count(*) FROM {table}")[0] for table in ("user_ids", "item_ids"))
    lines = [f"{loaded.rows:,} events of {users:,} users and {items:,} items in {log.path}"]
    if loaded.unknown:
        lines.append(f"{loaded.unknown:,} events left out: the item table does not have their items")
    if written.too_new:
        lines.append(f"{written.too_new:,} events make no row: their users had clicked too little before")
    if written.missing:
        lines.append(f"{written.missing:,} negatives left out: too few other items had occurred by then")
    for split in SPLITS:
        rows = written.rows[split]
        lines.append(f"{split}: {rows:,} rows, {written.clicks[split] / rows:.1%} clicks")
    return lines


def _record(settings: LogImport, sources: list[Source], loaded: Loaded, written: Written) -> dict[str, Any]:
    files = {file.name: sha256_file(file) for source in sources for file in source.files}
    return {
        "files": {**files, settings.features.name: sha256_file(settings.features)},
        "settings": {
            "negatives": [] if loaded.labelled else list(settings.negatives),
            "train": settings.train,
            "valid": settings.valid,
            "history": settings.history,
            "min_history": settings.min_history,
            "seed": settings.seed,
        },
        "events": loaded.rows,
        "events_of_unknown_items": loaded.unknown,
        "rows": written.rows,
        "clicks": written.clicks,
        "versions": {package: version(package) for package in ("mmctr", "duckdb", "numpy", "pyarrow")},
    }
