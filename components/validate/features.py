"""The declared features: fitted on train, then counted in every split, so that the rules can judge them.

What was fitted is an artifact of the step: training, scoring and serving read it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset import layout
from components.errors import StepError
from components.schema.declared import Declared, Schema
from components.schema.encoder import Codes, Column, Encoder, FeatureError, FittedFeature
from components.schema.fit import fit_feature
from components.schema.fitted import raw_column
from components.statistics.auc import auc
from components.statistics.click_rate import click_rates
from components.validate.measured import Flagged, Line, Measured
from components.validate.parquet import Bools, ContractFile, Ints
from components.validate.rows import SplitRows

_PRIOR_ROWS = 10.0  # a value's click rate starts at that of train, as if seen in this many rows
_SIGNS = 4  # numbers of a given vector whose signs are counted
_STANDARD_BINS = np.linspace(-3.0, 3.0, 13)  # a standardised number is counted in these, in standard deviations


@dataclass
class Counts:
    """How often each code of a feature occurs, and in how many rows (or items) it is missing or unknown."""

    codes: Counter[int] = field(default_factory=Counter)
    rows: int = 0
    missing: int = 0
    unknown: int = 0

    def add(self, feature: FittedFeature, values: Column) -> Codes:
        """Returns one code for each row, the first of several."""
        codes = counted_codes(feature, values)
        self.codes.update(dict(zip(*(part.tolist() for part in np.unique(codes, return_counts=True)), strict=True)))
        self.rows += len(codes)
        self.missing += int((codes == 0).all(axis=1).sum())
        if feature.kind in ("category", "categories") and not feature.levels:
            self.unknown += int(((codes > 0) & (codes <= feature.buckets)).any(axis=1).sum())
        return codes[:, 0]

    @property
    def by_name(self) -> dict[str, int]:
        """As statistics.json names the codes."""
        return {str(code): count for code, count in self.codes.items()}

    def share(self, count: int) -> float:
        return count / max(1, self.rows)


@dataclass(frozen=True)
class Reader:
    """Where the values of the features come from."""

    sources: dict[str, ContractFile]
    splits: dict[str, SplitRows]
    flagged: Flagged
    shown: Ints  # items that are a target in train: items' features are fitted on these

    def rows(self, split: str, name: str) -> Iterator[Column]:
        """The values of a split. Of train the rows that are moved aside are left out."""
        left_out = self.flagged.of(split) if split == "train" else np.zeros(0, np.int64)
        for _, start, batch in self.sources[split].batches([name]):
            yield _chosen(batch.column(name), ~np.isin(np.arange(start, start + batch.num_rows), left_out))

    def items(self, name: str, shown: bool) -> Iterator[Column]:
        """The values of the items that train shows, or of the others."""
        for _, _, batch in self.sources["item_feature"].batches([layout.ITEM, name]):
            ids = batch.column(layout.ITEM).to_numpy(zero_copy_only=False)
            yield _chosen(batch.column(name), (np.isin(ids, self.shown) == shown) & (ids != 0))

    def events(self, split: str, name: str) -> Iterator[Column]:
        """The values of all events in the histories of a split, without what stands beside padding."""
        left_out = self.flagged.of(split) if split == "train" else np.zeros(0, np.int64)
        for _, start, batch in self.sources[split].batches([layout.HISTORY, name]):
            kept = ~np.isin(np.arange(start, start + batch.num_rows), left_out)
            history, column = batch.column(layout.HISTORY), batch.column(name)
            lengths = [pc.fill_null(pc.list_value_length(lists), 0) for lists in (history, column)]
            wrong = np.flatnonzero(pc.not_equal(*lengths).to_numpy(zero_copy_only=False))
            if len(wrong):
                row = int(wrong[0])
                raise StepError(
                    f"it has {lengths[1][row]} values in row {start + row} of {split}, whose history has "
                    f"{lengths[0][row]} items; each item must have one"
                )
            real = np.repeat(kept, lengths[0]) & (
                pc.fill_null(history.flatten(), 0).to_numpy(zero_copy_only=False) != 0
            )
            yield _chosen(column.flatten(), real)

    def of_split(self, split: str, feature: Declared) -> Iterator[Column]:
        return self.events(split, feature.name) if feature.of == "event" else self.rows(split, feature.name)

    def of_targets(self, feature: FittedFeature) -> dict[str, Codes]:
        """Of an item's feature the code of each row's target; 0 where nothing is known of it."""
        ids, codes = [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]  # item 0 is padding
        for _, _, batch in self.sources["item_feature"].batches([layout.ITEM, feature.name]):
            ids.append(batch.column(layout.ITEM).to_numpy(zero_copy_only=False))
            codes.append(counted_codes(feature, raw_column(pa.chunked_array([batch.column(feature.name)])))[:, 0])
        known, first = np.unique(np.concatenate(ids), return_index=True)
        code = np.concatenate(codes)[first]
        found = {}
        for split, rows in self.splits.items():
            items = np.delete(rows.items, self.flagged.of(split)) if split == "train" else rows.items
            place = np.searchsorted(known, items).clip(max=len(known) - 1)
            found[split] = np.where(known[place] == items, code[place], 0)
        return found

    def newest(self, split: str, codes: Codes) -> Codes:
        """Of a code for each event the one of each row's newest event; 0 where the history is empty."""
        lengths = self.splits[split].lengths.astype(np.int64)
        if split == "train":
            lengths = np.delete(lengths, self.flagged.of(split))
        last = np.cumsum(lengths) - 1
        return np.where(lengths > 0, np.append(codes, 0)[last], 0)

    def train(self, feature: Declared) -> Iterator[Column]:
        return self.items(feature.name, True) if feature.of == "item" else self.of_split("train", feature)


@dataclass(frozen=True)
class Features:
    """What is known of the features after validation."""

    encoder: Encoder | None = None  # None: not all of them could be fitted, or none are declared
    train: dict[str, Counts] = field(default_factory=dict)  # by the feature's label
    as_before: dict[str, Counts] = field(default_factory=dict)  # the same in the champion's codes, for drift
    lines: list[Line] = field(default_factory=list)
    alone: dict[str, float] = field(default_factory=dict)  # AUC on valid of each value's click rate in train
    codes: dict[str, Codes] = field(default_factory=dict)  # of rows' and users' features, for each row of train


def counted_codes(feature: FittedFeature, values: Column) -> Codes:
    """Codes [n, width] to count. A number counts as the piece that it lies in; 0 stands for a missing value."""
    encoded = feature.encode(values)
    if feature.codes:
        return np.asarray(encoded, np.int64)
    if feature.kind == "vector":
        return _signs(encoded)
    edges = np.arange(feature.bins + 1, dtype=np.float64) if feature.bins else _STANDARD_BINS
    missing = np.isnan(encoded)
    pieces = np.searchsorted(edges, np.nan_to_num(encoded), side="right").clip(1, len(edges) - 1)
    return np.where(missing, 0, pieces).astype(np.int64)[:, None]


def _signs(vectors: Column) -> Codes:
    """A code for the signs of the first numbers of each vector; 0 stands for a missing one."""
    first = np.asarray(vectors)[:, :_SIGNS]
    codes = 1 + (first > 0) @ (1 << np.arange(first.shape[1]))
    return np.where(np.isnan(first).any(axis=1), 0, codes).astype(np.int64)[:, None]


def label(feature: Declared | FittedFeature) -> str:
    return f"{feature.name} ({feature.of})"


def measure_features(
    schema: Schema,
    sources: dict[str, ContractFile],
    splits: dict[str, SplitRows],
    flagged: Flagged,
    before: Encoder,
    measured: Measured,
) -> Features:
    """`before` holds the champion's features."""
    if not schema.from_file or not schema.features:
        measured.missing("features", "the data set declares no features")
        return Features()
    if "train" not in splits or not sources["item_feature"].usable:
        measured.missing("features", "train or item_feature could not be read")
        return Features()
    reader = Reader(sources, splits, flagged, np.unique(splits["train"].items))
    champions = {label(feature): feature for feature in (*before.row, *before.item, *before.event)}
    fitted: list[FittedFeature] = []
    found = Features()
    for feature in schema.features:
        line: Line = {"feature": label(feature), "kind": feature.kind, "problem": ""}
        found.lines.append(line)
        try:
            fitted.append(_measure(feature, reader, champions.get(label(feature)), found, line))
        except (FeatureError, StepError) as error:
            line["problem"] = _problem(error)
    measured.add("features", "feature", found.lines)
    if len(fitted) < len(found.lines):
        return found
    row, item, event = (tuple(f for f in fitted if f.of in of) for of in (("row", "user"), ("item",), ("event",)))
    return replace(found, encoder=Encoder(row, item, event))


def _problem(error: FeatureError | StepError) -> str:
    """Without the row: the values were read in parts."""
    return f"a value is {error.value!r:.60}; must be {error.allowed}" if isinstance(error, FeatureError) else str(error)


def _measure(
    feature: Declared, reader: Reader, before: FittedFeature | None, found: Features, line: Line
) -> FittedFeature:
    name, fitted = label(feature), fit_feature(feature, reader.train(feature), before)
    if feature.of == "item":
        later = [_count(fitted, reader.items(feature.name, False))[0]]
        train, _ = _count(fitted, reader.items(feature.name, True))
        area = _alone(reader, reader.of_targets(fitted))
    else:
        counts = {split: _count(fitted, reader.of_split(split, feature)) for split in reader.splits}
        later = [counts[split][0] for split in counts if split != "train"]
        train = counts["train"][0]
        codes = {split: codes for split, (_, codes) in counts.items()}
        if feature.of == "event":
            codes = {split: reader.newest(split, of_events) for split, of_events in codes.items()}
        else:
            found.codes[name] = codes["train"]
        area = _alone(reader, codes)
    if area is not None:
        line["auc"] = found.alone[name] = area
    line |= {"distinct": len(train.codes.keys() - {0}), "missing": train.share(train.missing)}
    later = [each for each in later if each.rows]
    if later:
        line["unknown"] = max(each.share(each.unknown) for each in later)
        line["missing_gap"] = max(abs(each.share(each.missing) - line["missing"]) for each in later)
    found.train[name] = train
    if before is not None and (before.kind, before.levels) == (fitted.kind, fitted.levels):
        found.as_before[name] = train if before == fitted else _count(before, reader.train(feature))[0]
    return fitted


def _count(feature: FittedFeature, chunks: Iterable[Column]) -> tuple[Counts, Codes]:
    """Also one code for each row, the first of several."""
    counts = Counts()
    codes = [counts.add(feature, values) for values in chunks]
    return counts, np.concatenate([np.zeros(0, np.int64), *codes])


def _alone(reader: Reader, codes: dict[str, Codes]) -> float | None:
    """The AUC on valid of the click rate that each value had in train."""
    train, valid = reader.splits["train"], reader.splits.get("valid")
    if train.labels is None or valid is None or valid.labels is None or not 0 < valid.labels.sum() < valid.rows:
        return None
    labels = np.delete(train.labels, reader.flagged.of("train"))
    rates, _ = click_rates(codes["train"], labels, _PRIOR_ROWS).of(codes["valid"])
    return auc(valid.labels, rates)


def _chosen(column: pa.Array, kept: Bools) -> Column:
    return raw_column(pa.chunked_array([column]).filter(pa.array(kept)))
