"""Each split as a whole: sizes, rates, duplicates, and values that are too frequent."""

import numpy as np
import numpy.typing as npt

from components.validate.catalogue import Catalogue
from components.validate.measured import Flagged, Line, Measured
from components.validate.rows import SplitRows


def find_duplicates(rows: SplitRows, flagged: Flagged, measured: Measured, examples: int) -> None:
    """Flags the second and later rows with the same user, item and history."""
    keys = rows.keys
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    again = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1
    later = np.sort(order[again])
    flagged.add(rows.split, "duplicate", later)
    found = measured.examples.setdefault("rows.duplicate", [])
    for place in again[: max(0, examples - len(found))]:
        row, first = int(order[place]), int(order[place - 1])
        line: Line = {
            "split": rows.split,
            "row": row,
            "same_as_row": first,
            "user_id": int(rows.users[row]),
            "item_id": int(rows.items[row]),
        }
        if rows.labels is not None:
            line["labels"] = f"{rows.labels[first]} and {rows.labels[row]}"
        found.append(line)
    per_group = np.diff(np.searchsorted(later, [*rows.group_starts, rows.rows]))
    for line, count in zip(rows.groups, per_group, strict=True):
        line["duplicate"] = int(count)


def measure_splits(
    splits: dict[str, SplitRows], catalogue: Catalogue, flagged: Flagged, min_history: int, measured: Measured
) -> None:
    train = splits.get("train")
    lines = []
    for name, rows in splits.items():
        moved = flagged.of(name)
        line: Line = {
            "split": name,
            "rows": rows.rows,
            "quarantined": len(moved),
            "quarantined_share": len(moved) / max(1, rows.rows),
            "short_history_share": float((rows.lengths < min_history).mean()) if rows.rows else np.nan,
            "label_rate": _rate(rows.labels),
            "level_values": float(min(map(_distinct, rows.levels.values()), default=np.nan)) if rows.rows else np.nan,
            "top_item_share": _top_share(rows.items),
            "top_user_share": _top_share(rows.users),
            "top_history_share": _top_share(rows.histories),
        }
        shared = catalogue.readable and catalogue.shared_levels(rows.levels)
        if shared and rows.levels_as_of_click:
            line["level_agreement"] = catalogue.level_agreement(rows.items, rows.levels)
        elif shared:
            line["level_mismatch_share"] = rows.level_mismatches / max(1, rows.rows)
        if train is not None and name != "train":
            line["rows_of_train"] = rows.rows / max(1, train.rows)
            line["label_rate_gap"] = abs(_rate(rows.labels) - _rate(train.labels))
            if rows.times is not None and train.times is not None and train.rows and rows.rows:
                line["before_train_ends"] = float((rows.times < train.times.max()).mean())
        lines.append(line)
    if not any(rows.levels for rows in splits.values()):
        for column in ("splits.level_values", "rows.level_out_of_range"):
            measured.missing(column, "no feature of the rows has levels")
    measured.missing("splits.before_train_ends", "train and the other splits do not say the time of each row")
    measured.missing("rows.weight_not_positive", "the rows have no weights")
    measured.missing("splits.level_agreement", "the files do not say that their levels are as of each click")
    measured.missing("splits.level_mismatch_share", "the files say that their levels are as of each click")
    measured.add("splits", "split", lines)
    measured.add("rows", "part", [line for rows in splits.values() for line in rows.groups])
    groups = measured.tables["rows"]
    for column in set(groups.columns) - {"part", "row_group", "rows"}:
        measured.counts[f"rows.{column}"] = int(groups[column].sum())


def _rate(labels: npt.NDArray[np.int8] | None) -> float:
    return float(labels.mean()) if labels is not None and len(labels) else np.nan


def _distinct(values: npt.NDArray[np.int64]) -> int:
    return len(np.unique(values))


def _top_share(values: npt.NDArray[np.int64] | npt.NDArray[np.uint64]) -> float:
    if not len(values):
        return np.nan
    ordered = np.sort(values)
    runs = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1], [True]]))
    return float(np.diff(runs).max() / len(values))
