"""What a model was trained on, in a few kilobytes: it travels with the model, and drift is measured against it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from components.dataset import layout
from components.dataset.item_ids import pack_ids
from components.dataset.layout import LIKES, VIEWS
from components.statistics.association import closest
from components.validate.catalogue import Catalogue
from components.validate.features import Features
from components.validate.measured import Flagged, Measured
from components.validate.parquet import Ints
from components.validate.rows import SplitRows
from components.validate.vectors import Vectors

FORMAT = 1
_LEAST_INFORMATION = 0.02  # nats, of two columns that count as dependent
_FEWEST_OF_PAIRS, _ROWS_OF_PAIRS = 1000, 200_000  # rows; a larger train is thinned out
_TOP = 200  # tags, and items, that are counted by name; the others are counted together


def collect(
    splits: dict[str, SplitRows],
    catalogue: Catalogue,
    vectors: list[Vectors],
    features: Features,
    flagged: Flagged,
    measured: Measured,
) -> dict[str, Any]:
    """Describes train; of the other splits only sizes and rates. Rows moved aside are few, and counted in."""
    statistics: dict[str, Any] = {
        "format": FORMAT,
        "rows": {name: rows.rows for name, rows in splits.items()},
        "users": {name: len(np.unique(rows.users)) for name, rows in splits.items()},
        "label_rate": {
            name: float(rows.labels.mean())
            for name, rows in splits.items()
            if rows.labels is not None and len(rows.labels)
        },
        "items": len(catalogue.ids),
        "embeddings": {
            column.column: {"mean": column.mean.tolist(), "spread": column.spread, "vectors": column.rows}
            for column in vectors
            if column.rows
        },
        "baselines": _baselines(measured),
        "features": {
            name: {"missing": counts.share(counts.missing), "counts": code_counts(counts.codes)}
            for name, counts in features.train.items()
        },
    }
    train = splits.get("train")
    if train is not None and train.rows:
        statistics["train"] = _describe(train, catalogue)
        statistics["pairs"] = _pairs(train, features, flagged, statistics["train"]["items"]["top"])
    return statistics


def _describe(train: SplitRows, catalogue: Catalogue) -> dict[str, Any]:
    shown = np.unique(train.items)
    return {
        **{name: _histogram(train.levels[name], layout.LEVELS) for name in (LIKES, VIEWS) if name in train.levels},
        "history_length": _histogram(train.lengths.astype(np.int64), layout.MAX_HISTORY + 1),
        "tags": _top(tag_counts(train, catalogue)),
        "items": _top(item_counts(train)),
        "items_seen": pack_ids(shown[catalogue.knows(shown)]),
    }


def _pairs(train: SplitRows, features: Features, flagged: Flagged, top: dict[str, int]) -> dict[str, Any]:
    """Which columns of train depend on each other: a column that was mixed up among the rows shows by nothing else."""
    kept = np.delete(np.arange(train.rows), flagged.of("train"))
    if len(kept) < _FEWEST_OF_PAIRS:
        return {}
    kept = kept[:: max(1, len(kept) // _ROWS_OF_PAIRS)]
    columns = {name: train.levels[name][kept].astype(np.int64) for name in (LIKES, VIEWS) if name in train.levels}
    if features.codes:
        place = np.searchsorted(np.delete(np.arange(train.rows), flagged.of("train")), kept)
        columns = {name: codes[place] for name, codes in features.codes.items()}
    columns |= {"history length": train.lengths[kept].astype(np.int64), "items": item_ranks(train.items[kept], top)}
    return {name: pair.as_json() for name, pair in closest(columns, _LEAST_INFORMATION).items()}


def item_ranks(items: Ints, top: Mapping[str, int]) -> Ints:
    """1 for the item that train shows most often; one more than the last for all items that are not counted by name."""
    ordered = sorted(top.items(), key=lambda pair: (-pair[1], pair[0]))  # a JSON file keeps no order
    names = np.array([int(name) for name, _ in ordered], np.int64)
    order = np.argsort(names)
    place = np.searchsorted(names[order], items).clip(0, max(0, len(names) - 1))
    known = names[order][place] == items if len(names) else np.zeros(len(items), np.bool_)
    return np.asarray(np.where(known, order[place] + 1 if len(names) else 0, len(names) + 1), np.int64)


def code_counts(codes: Mapping[int, int]) -> dict[str, Any]:
    return _top({str(code): count for code, count in codes.items()})


def item_counts(train: SplitRows) -> dict[str, int]:
    return item_counts_of(train.items)


def item_counts_of(items: Ints) -> dict[str, int]:
    ids, counts = np.unique(items, return_counts=True)
    return dict(zip(map(str, ids.tolist()), counts.tolist(), strict=True))


def tag_counts(train: SplitRows, catalogue: Catalogue) -> dict[str, int]:
    """How many rows of train show an item with each tag."""
    if not len(catalogue.tag_codes):
        return {}
    ids, shows = np.unique(train.items, return_counts=True)
    places = catalogue.place(ids)
    per_item = np.zeros(len(catalogue.ids))
    per_item[places[places >= 0]] = shows[places >= 0]
    counts = np.bincount(
        catalogue.tag_codes, weights=np.repeat(per_item, catalogue.tag_counts), minlength=len(catalogue.tag_names)
    )
    return {
        name: int(count)
        for name, count in zip(catalogue.tag_names, counts, strict=True)
        if count and name != "0"  # padding
    }


def _histogram(values: Ints, size: int) -> list[int]:
    """Counts of 0..size-1; what lies outside counts in the nearest, and has broken a rule of its own."""
    return [int(count) for count in np.bincount(np.clip(values, 0, size - 1), minlength=size)]


def _top(counts: dict[str, int]) -> dict[str, Any]:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return {"top": dict(ordered[:_TOP]), "other": sum(count for _, count in ordered[_TOP:])}


def _baselines(measured: Measured) -> dict[str, float]:
    table = measured.tables.get("baselines")
    if table is None:
        return {}
    shown = table[table["auc"].notna()]
    return {str(name): float(area) for name, area in zip(shown["baseline"], shown["auc"], strict=True)}
