"""How well a single column predicts the label: baselines that tell what an AUC is worth."""

import numpy as np
import numpy.typing as npt

from components.dataset import layout
from components.dataset.footers import is_integer
from components.statistics.auc import auc
from components.statistics.click_rate import click_rates
from components.validate.catalogue import Catalogue
from components.validate.coherence import shared_tags
from components.validate.measured import Line, Measured
from components.validate.parquet import ContractFile
from components.validate.rows import SplitRows
from components.validate.vectors import Vectors

_BLURRED = 0.02  # standard error of an AUC above which a split is too small to judge its labels
_EXTRA = 64  # columns beyond the contract that are measured: an export can bring thousands, and nothing reads them
_PRIOR_SHOWS = 10.0  # an item's click rate starts at that of train, as if seen in this many rows

Values = npt.NDArray[np.float64] | npt.NDArray[np.int64] | npt.NDArray[np.int32]


def measure_shortcuts(
    splits: dict[str, SplitRows],
    source: ContractFile,
    catalogue: Catalogue,
    vectors: list[Vectors],
    alone: dict[str, float],
    measured: Measured,
) -> None:
    """`alone` holds the AUC on valid of each declared feature."""
    train, valid = splits.get("train"), splits.get("valid")
    if train is None or train.labels is None or not _has_both(train):
        measured.missing("baselines", "train has no readable labels of both kinds")
        return
    lines: list[Line] = []
    for name, values in _features(train, source).items():
        area = auc(train.labels, values)
        lines.append({"baseline": name, "on": "train", "auc": area, "feature_auc": max(area, 1 - area)})
    if (left := len(_extra_numbers(source)) - _EXTRA) > 0:
        lines.append({"baseline": f"{left} more extra columns: not measured", "on": "train"})
    area = auc(train.labels, np.arange(train.rows))
    lines.append({"baseline": "row order", "on": "train", "auc": area, "row_order_auc": max(area, 1 - area)})
    lines.append({"baseline": "user", "on": "train", "one_sided_users": _one_sided(train)})
    if valid is not None and valid.labels is not None and _has_both(valid):
        rates, _ = click_rates(train.items, train.labels, _PRIOR_SHOWS).of(valid.items)
        area = auc(valid.labels, rates)
        lines.append({"baseline": "item click rate", "on": "valid", "auc": area, "item_ctr_auc": area})
    lines += [
        {"baseline": name, "on": "valid", "auc": area, "feature_auc": max(area, 1 - area)}
        for name, area in alone.items()
    ]
    for rows in splits.values():
        if _has_both(rows):
            lines += _signal(rows, catalogue, vectors, alone if rows.split == "valid" else {})
    measured.add("baselines", "baseline", lines)


def _features(train: SplitRows, source: ContractFile) -> dict[str, Values]:
    features: dict[str, Values] = {
        **train.levels,
        layout.USER: train.users,
        layout.ITEM: train.items,
        "history length": train.lengths,
    }
    for name in _extra_numbers(source)[:_EXTRA]:
        parts = [
            batch.column(name).cast("float64").to_numpy(zero_copy_only=False) for _, _, batch in source.batches([name])
        ]
        values = np.nan_to_num(np.concatenate(parts)) if parts else np.zeros(0)
        if len(values) == train.rows:
            features[name] = values
    return features


def _extra_numbers(source: ContractFile) -> list[str]:
    """The columns beyond the contract that an AUC can be measured of."""
    schema = source.footer.schema
    if schema is None:
        return []
    kinds = {name: schema.field(name).type for name in source.footer.extra if schema.names.count(name) == 1}
    return [name for name, kind in kinds.items() if is_integer(kind) or str(kind) in ("float", "double", "bool")]


def _has_both(rows: SplitRows) -> bool:
    return rows.labels is not None and bool(0 < rows.labels.sum() < rows.rows)


def _signal(rows: SplitRows, catalogue: Catalogue, vectors: list[Vectors], alone: dict[str, float]) -> list[Line]:
    """How clearly labels depend on a feature, on the levels, or on the similarity of the target to the history."""
    assert rows.labels is not None
    levels = np.sum([*rows.levels.values()], axis=0) if rows.levels else np.zeros(rows.rows)
    found = [_surprise("levels", levels, rows.labels)] if rows.levels else []
    sample = rows.sample()
    if len(sample.rows):
        targets = rows.items[sample.rows]
        likeness = [("tags", shared_tags(catalogue, sample.clicks, targets))] if len(catalogue.tag_codes) else []
        likeness += [(v.column, v.similarity(sample.clicks, targets)) for v in vectors if v.rows > 1]
        numbers, places = np.unique(sample.rows, return_inverse=True)
        clicks = np.bincount(places)
        for name, values in likeness:
            mean = np.bincount(places, weights=np.nan_to_num(values)) / clicks
            found.append(_surprise(f"likeness of {name} to the history", mean, rows.labels[numbers]))
    surprises = [surprise for _, _, surprise in found] + [(area - 0.5) / _error(rows.labels) for area in alone.values()]
    strongest = max(map(abs, surprises), default=float("nan"))
    if _error(rows.labels) > _BLURRED:
        strongest = float("nan")  # so few rows cannot tell signal from noise
    lines: list[Line] = [
        {"baseline": f"{name}, {rows.split}", "on": rows.split, "auc": area} for name, area, _ in found
    ]
    return [*lines, {"baseline": f"labels of {rows.split}", "on": rows.split, "label_signal": strongest}]


def _surprise(name: str, values: Values, labels: npt.NDArray[np.int8]) -> tuple[str, float, float]:
    """The AUC, NaN where all labels are alike, and how many standard errors it lies from one half."""
    if not 0 < labels.sum() < len(labels):
        return name, float("nan"), 0.0
    area = auc(labels, values)
    return name, area, (area - 0.5) / _error(labels)


def _error(labels: npt.NDArray[np.int8]) -> float:
    """The standard error of the AUC of a score without meaning."""
    positives, rows = float(labels.sum()), len(labels)
    return float(np.sqrt((rows + 1) / (12 * positives * (rows - positives)))) if 0 < positives < rows else float("inf")


def _one_sided(train: SplitRows) -> float:
    """Of users with two rows or more: the share with one label only, beyond what chance gives (0) up to all (1)."""
    assert train.labels is not None
    _, places = np.unique(train.users, return_inverse=True)
    shows = np.bincount(places)
    clicks = np.bincount(places, weights=train.labels)
    several = shows > 1
    if not several.any():
        return float("nan")
    rate = float(train.labels.mean())
    chance = float((rate ** shows[several] + (1 - rate) ** shows[several]).mean())
    seen = float(((clicks == 0) | (clicks == shows))[several].mean())
    return max(0.0, (seen - chance) / max(1e-9, 1 - chance))
