"""The rows of the splits, read once, one batch at a time: which rows break a rule, and a few numbers of each row."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from components.dataset import layout
from components.schema.declared import Schema
from components.validate.catalogue import Catalogue
from components.validate.measured import Flagged, Line, Measured
from components.validate.parquet import Bools, ContractFile, Ints

Hashes = npt.NDArray[np.uint64]

_RANDOM = np.random.default_rng(20_25)
# A history's hash is the sum of item x multiplier[position from the right], so padding does not change it.
_MULTIPLIERS = _RANDOM.integers(1, 2**63, 4096, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_ITEM_MULTIPLIER, _USER_MULTIPLIER = _MULTIPLIERS[-1], _MULTIPLIERS[-2]
_TIME_MULTIPLIER = np.uint64(0x8EBC6AF09C88C6E3)
_SAMPLED = 20_000  # rows of a split whose clicks are kept, to compare content with behaviour


@dataclass(frozen=True)
class Clicked:
    """The histories of some rows: `clicks[i]` was made before `rows[i]`, a row of the split; oldest first."""

    clicks: Ints
    rows: Ints


@dataclass
class SplitRows:
    """What is kept of a split: about 50 bytes a row."""

    split: str
    users: Ints
    items: Ints
    labels: npt.NDArray[np.int8] | None
    levels: dict[str, Ints]  # feature -> the level of each row
    lengths: npt.NDArray[np.int32]
    histories: Hashes  # the same hash: the same clicks in the same order
    times: Ints | None = None  # of a split that has them: the same item may be shown again at another time
    groups: list[Line] = field(default_factory=list)  # one a row group
    group_starts: list[int] = field(default_factory=list)
    levels_as_of_click: bool = False  # else a row's levels are those of its item, whenever the row was made
    level_mismatches: int = 0
    sampled: list["Clicked"] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return len(self.users)

    def sample(self) -> Clicked:
        empty = np.zeros(0, np.int64)
        return Clicked(
            np.concatenate([empty, *(part.clicks for part in self.sampled)]),
            np.concatenate([empty, *(part.rows for part in self.sampled)]),
        )

    @property
    def targets(self) -> Hashes:
        """Hash of (item, history)."""
        return np.asarray(self.histories + self.items.astype(np.uint64) * _ITEM_MULTIPLIER)

    @property
    def of_users(self) -> Hashes:
        """Hash of (user, item, history)."""
        return np.asarray(self.targets + self.users.astype(np.uint64) * _USER_MULTIPLIER)

    @property
    def keys(self) -> Hashes:
        """What makes a row another row: (user, item, history), and the time where the rows have one."""
        if self.times is None:
            return self.of_users
        return np.asarray(self.of_users + self.times.astype(np.uint64) * _TIME_MULTIPLIER)


@dataclass(frozen=True)
class Clicks:
    """The real entries of a batch's histories, padding left out."""

    items: Ints
    row: Ints  # of the batch
    position: Ints  # from the right: 0 is the newest
    per_row: Ints
    first: Ints  # position in its row of the row's first real entry; 0 without any
    widths: Ints

    @staticmethod
    def of(flat: Ints, widths: Ints) -> "Clicks":
        ends = np.cumsum(widths)
        starts = ends - widths
        real = np.flatnonzero(flat)
        if len(widths) and (widths == widths[0]).all() and widths[0] > 0:
            row = real // widths[0]  # the usual case: all padded to one width
        else:
            row = np.repeat(np.arange(len(widths)), widths)[real]
        per_row = np.bincount(row, minlength=len(widths)).astype(np.int64)
        first = np.zeros(len(widths), np.int64)
        filled = per_row > 0
        first[filled] = real[(np.cumsum(per_row) - per_row)[filled]] - starts[filled]
        return Clicks(flat[real], row, ends[row] - 1 - real, per_row, first, widths)

    def hashes(self) -> Hashes:
        terms = self.items.astype(np.uint64) * _MULTIPLIERS[self.position % (len(_MULTIPLIERS) - 2)]
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])
        ends = np.cumsum(self.per_row)
        return np.asarray(sums[ends] - sums[ends - self.per_row])

    def rows_where(self, mask: Bools) -> Bools:
        """The rows with at least one entry that `mask` marks."""
        marked = np.zeros(len(self.per_row), np.bool_)
        marked[self.row[mask]] = True
        return marked


def read_split(
    source: ContractFile, schema: Schema, catalogue: Catalogue, flagged: Flagged, measured: Measured, examples: int
) -> SplitRows:
    labelled = source.has(layout.LABEL)
    sizes = {feature.name: feature.levels for feature in schema.row if feature.levels}
    given = [name for name in (layout.LABEL, layout.TIME, layout.WEIGHT) if source.has(name)]
    columns = [layout.USER, layout.ITEM, layout.HISTORY, *sizes, *given]
    kept = _allocate(source.name, source.rows, labelled, sizes)
    kept.levels_as_of_click = source.levels_as_of_click
    kept.times = np.zeros(source.rows, np.int64) if layout.TIME in given else None
    read = 0
    for group, start, batch in source.batches(columns):
        part = slice(start, start + batch.num_rows)
        kept.users[part] = users = source.integers(batch, layout.USER)
        kept.items[part] = items = source.integers(batch, layout.ITEM)
        if kept.times is not None:
            kept.times[part] = source.integers(batch, layout.TIME)
        levels = {name: source.integers(batch, name) for name in sizes}
        for name, values in levels.items():
            kept.levels[name][part] = values
        clicks = Clicks.of(*source.integer_lists(batch, layout.HISTORY))
        kept.lengths[part] = clicks.per_row
        kept.histories[part] = clicks.hashes()
        wrong = _wrong_rows(users, items, clicks, catalogue)
        if sizes:
            outside = [(levels[name] < 0) | (levels[name] >= size) for name, size in sizes.items()]
            wrong["level_out_of_range"] = np.logical_or.reduce(outside)
        if layout.WEIGHT in given:
            weights = np.asarray(batch.column(layout.WEIGHT).to_numpy(zero_copy_only=False), np.float64)
            wrong["weight_not_positive"] = ~(np.isfinite(weights) & (weights > 0))
        if kept.labels is not None:
            labels = source.integers(batch, layout.LABEL)
            wrong["label_not_binary"] = (labels != 0) & (labels != 1)
            kept.labels[part] = labels == 1
        kept.level_mismatches += int(catalogue.levels_differ(items, levels).sum())
        _sample(kept, clicks, start)
        _note(kept, group, start, batch.num_rows, wrong)
        for column, mask in wrong.items():
            numbers = np.flatnonzero(mask)
            flagged.add(source.name, column, numbers + start)
            _example(measured, source.name, column, numbers, start, batch, examples)
        read = start + batch.num_rows
    _cut(kept, read)
    return kept


def _wrong_rows(users: Ints, items: Ints, clicks: Clicks, catalogue: Catalogue) -> dict[str, Bools]:
    wrong = {
        "target_is_padding": items == 0,
        "user_negative": users < 0,
        "right_padded": (clicks.per_row > 0) & (clicks.first != clicks.widths - clicks.per_row),
        "history_too_long": clicks.widths > layout.MAX_HISTORY,
        "target_in_history": clicks.rows_where(clicks.items == items[clicks.row]),
    }
    if catalogue.readable:
        wrong["target_unknown"] = (items != 0) & ~catalogue.knows(items)
        wrong["history_unknown"] = clicks.rows_where(~catalogue.knows(clicks.items))
    return wrong


def _allocate(split: str, rows: int, labelled: bool, levels: Iterable[str]) -> SplitRows:
    return SplitRows(
        split=split,
        users=np.zeros(rows, np.int64),
        items=np.zeros(rows, np.int64),
        labels=np.zeros(rows, np.int8) if labelled else None,
        levels={name: np.zeros(rows, np.int64) for name in levels},
        lengths=np.zeros(rows, np.int32),
        histories=np.zeros(rows, np.uint64),
    )


def _cut(kept: SplitRows, read: int) -> None:
    """A file that breaks in the middle leaves the rows before the break."""
    for name in ("users", "items", "lengths", "histories"):
        setattr(kept, name, getattr(kept, name)[:read])
    kept.levels = {name: values[:read] for name, values in kept.levels.items()}
    if kept.labels is not None:
        kept.labels = kept.labels[:read]
    if kept.times is not None:
        kept.times = kept.times[:read]


def _sample(kept: SplitRows, clicks: Clicks, start: int) -> None:
    """Every n-th row of the split, wherever a batch begins."""
    rows = clicks.row + start
    taken = rows % max(1, kept.rows // _SAMPLED) == 0
    kept.sampled.append(Clicked(clicks.items[taken], rows[taken]))


def _note(kept: SplitRows, group: int, start: int, rows: int, wrong: dict[str, Bools]) -> None:
    if not kept.groups or kept.groups[-1]["row_group"] != group:
        kept.groups.append({"part": f"{kept.split}, row group {group}", "row_group": group, "rows": 0})
        kept.group_starts.append(start)
    line = kept.groups[-1]
    line["rows"] += rows
    for column, mask in wrong.items():
        line[column] = line.get(column, 0) + int(mask.sum())


def _example(measured: Measured, split: str, column: str, numbers: Ints, start: int, batch: object, limit: int) -> None:
    found = measured.examples.setdefault(f"rows.{column}", [])
    for number in numbers[: max(0, limit - len(found))]:
        found.append({"split": split, "row": int(number) + start, **readable(batch, int(number))})


def readable(batch: object, row: int) -> Line:
    """One row as a person wants to see it: padding cut to a count."""
    values: Line = {name: batch.column(name)[row].as_py() for name in batch.schema.names}  # type: ignore[attr-defined]
    weight = values.get(layout.WEIGHT)
    if isinstance(weight, float) and not np.isfinite(weight):  # JSON has no such numbers
        values[layout.WEIGHT] = str(weight)
    history = values.get(layout.HISTORY)
    if isinstance(history, list):
        values[layout.HISTORY] = shortened(history)
    return values


def shortened(history: list[int | None]) -> str:
    zeros = next((i for i, item in enumerate(history) if item != 0), len(history))
    rest = history[zeros:] if zeros > 1 else history
    parts = [*([f"{zeros} x 0"] if zeros > 1 else []), *(rest if len(rest) <= 12 else [*rest[:6], "…", *rest[-5:]])]
    return f"[{', '.join(map(str, parts))}]"
