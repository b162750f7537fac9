"""From the table `events` to the three splits: rows with their histories, and negatives for a log of clicks alone."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset.importers.log.engine import Engine, name
from components.dataset.importers.log.histories import UserEvents, gather
from components.dataset.importers.log.negatives import Pools, draw_negatives
from components.dataset.importers.log.tables import Loaded
from components.dataset.layout import HISTORY, ITEM, LABEL, SPLITS, TIME, USER, WEIGHT, split_path
from components.process.progress import progress

Ints = npt.NDArray[np.int64]

EVENTS_AT_ONCE = 131_072  # bounds the memory; a user's events are never parted
SECOND = 1_000_000  # in the log's microseconds


@dataclass(frozen=True)
class Plan:
    """How rows are made of events."""

    loaded: Loaded
    ends: tuple[int, int] | None  # the moments at which valid and test begin; None: the log says which split
    history: int
    min_history: int
    negatives: tuple[str, ...]  # policies; none where the log has labels
    pools: Pools | None


@dataclass
class Written:
    """What was written, by split."""

    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    clicks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    too_new: int = 0  # events left out: their user had clicked too little before
    missing: int = 0  # negatives for which no item was found


def write_splits(engine: Engine, out: Path, plan: Plan, rng: np.random.Generator) -> Written:
    order = ["user", "time", "item", "clicked", *plan.loaded.carried]
    (events,) = engine.row("SELECT count(*) FROM events")
    query = f"SELECT * FROM events ORDER BY {', '.join(order)}"
    written = Written()
    with ExitStack() as files, ThreadPoolExecutor(1) as second_core, progress("make rows", events, "events") as bar:
        writers: dict[str, pq.ParquetWriter] = {}
        writing: Future[None] | None = None
        for block in whole_users(engine.batches(query, EVENTS_AT_ONCE)):
            for split, table in _rows(block, plan, written, rng):
                if split not in writers:
                    path = split_path(out, split)
                    writers[split] = files.enter_context(pq.ParquetWriter(path, table.schema, compression="zstd"))
                if writing is not None:
                    writing.result()  # so that no more than two tables are in memory
                writing = second_core.submit(writers[split].write_table, table)
            bar.advance(block.num_rows)
        if writing is not None:
            writing.result()
    return written


def whole_users(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The events again, in tables that hold all events of each of their users."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        users = batch.column("user").to_numpy()
        if not len(users):
            continue
        begun = int(np.searchsorted(users, users[-1], side="left"))  # where the batch's last user begins
        if begun or (waiting and waiting[-1].column("user")[-1].as_py() != users[0]):
            complete = [*waiting, batch.slice(0, begun)] if begun else waiting
            yield pa.Table.from_batches(complete).combine_chunks()
            waiting = []
        waiting.append(batch.slice(begun))
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()


def _rows(block: pa.Table, plan: Plan, written: Written, rng: np.random.Generator) -> Iterator[tuple[str, pa.Table]]:
    events = UserEvents(*(block.column(column).to_numpy() for column in ("user", "time", "item", "clicked")))
    clicks, start, end = events.histories(plan.history)
    kept = np.flatnonzero(end - start >= plan.min_history)
    written.too_new += len(events.user) - len(kept)
    event, item, label = kept, events.item[kept], events.clicked[kept].astype(np.int64)
    if plan.pools is not None:
        has_clicked = events.has_clicked()
        row, negative = draw_negatives(
            plan.negatives,
            plan.pools,
            events.moment()[kept],
            events.time[kept],
            lambda rows, items: has_clicked(kept[rows], items),
            rng,
        )
        written.missing += len(kept) * len(plan.negatives) - len(row)
        order = np.argsort(np.concatenate([np.arange(len(kept)), row]), kind="stable")
        event = np.concatenate([kept, kept[row]])[order]
        item = np.concatenate([item, negative])[order]
        label = np.concatenate([label, np.zeros(len(row), np.int64)])[order]
    if plan.ends is None:
        split = block.column("split").to_numpy()[event]
    else:
        split = np.searchsorted(np.array(plan.ends), events.time[event], side="right")
    for number, name_of_split in enumerate(SPLITS):
        rows = np.flatnonzero(split == number)
        written.rows[name_of_split] += len(rows)
        written.clicks[name_of_split] += int(label[rows].sum())
        for first in range(0, len(rows), EVENTS_AT_ONCE):
            part = rows[first : first + EVENTS_AT_ONCE]
            own = event[part]
            offsets, seen = gather(clicks, start[own], end[own])
            yield name_of_split, _table(block, events, own, item[part], label[part], offsets, seen, plan.loaded)


def _table(
    block: pa.Table, events: UserEvents, own: Ints, item: Ints, label: Ints, offsets: Ints, seen: Ints, loaded: Loaded
) -> pa.Table:
    columns = {
        USER: pa.array(events.user[own]),
        ITEM: pa.array(item),
        HISTORY: pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(events.item[seen])),
        TIME: pa.array(events.time[own] // SECOND),
    }
    if loaded.weighted:
        columns[WEIGHT] = block.column("weight").take(own)
    for feature, column in loaded.features.items():
        columns[feature] = block.column(column).take(own)
    for feature, column in loaded.of_events.items():
        if column:
            values = block.column(column).take(seen)
        else:
            values = pa.array((np.repeat(events.time[own], np.diff(offsets)) - events.time[seen]) / SECOND)
        columns[feature] = pa.ListArray.from_arrays(columns[HISTORY].offsets, _one(values))
    return pa.table({**columns, LABEL: pa.array(label)})


def _one(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def read_pools(engine: Engine, folder: Path) -> Pools:
    """What the policies draw from. The clicks are kept in files, because a log may have more than memory holds."""
    first = engine.rows("SELECT item, min(time) AS first FROM events GROUP BY item ORDER BY first, item")
    items, moments = np.array(first, np.int64).reshape(-1, 2).T
    clicks = f"SELECT CAST(item AS INTEGER) AS item, time FROM events WHERE clicked ORDER BY time, {name('item')}"
    with (folder / "items").open("wb") as item_file, (folder / "times").open("wb") as time_file:
        for batch in engine.batches(clicks, EVENTS_AT_ONCE):
            batch.column("item").to_numpy().tofile(item_file)
            batch.column("time").to_numpy().tofile(time_file)
    clicked, times = (np.memmap(folder / n, kind, mode="r") for n, kind in (("items", "<i4"), ("times", "<i8")))
    return Pools(items.copy(), moments.copy(), clicked, times)
