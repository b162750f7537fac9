"""What valid and test share with train."""

import numpy as np

from components.validate.measured import Line, Measured
from components.validate.rows import Hashes, SplitRows

_SHORT = 3  # clicks: shorter histories coincide by chance


def measure_leakage(splits: dict[str, SplitRows], measured: Measured, examples: int) -> None:
    train = splits.get("train")
    others = [rows for name, rows in splits.items() if name != "train" and rows.rows]
    if train is None or not others:
        measured.missing("pairs", "train and another split could not be read")
        return
    users, keys, targets = np.unique(train.users), np.sort(train.keys), np.sort(train.targets)
    lines = [_compare(rows, users, keys, targets, measured, examples) for rows in others]
    measured.counts["pairs.identical_rows"] = sum(line["identical_rows"] for line in lines)
    measured.add("pairs", "pair", lines)


def _compare(rows: SplitRows, users: object, keys: Hashes, targets: Hashes, measured: Measured,
             examples: int) -> Line:  # fmt: skip
    returning = np.isin(rows.users, users)  # type: ignore[arg-type]
    identical = _among(rows.keys, keys)
    copied = _among(rows.targets, targets) & ~identical & (rows.lengths >= _SHORT)
    for column, mask in (("identical_rows", identical), ("copied_rows", copied), ("shared_users", returning)):
        found = measured.examples.setdefault(f"pairs.{column}", [])
        found += [
            {"split": rows.split, "row": int(row), "user_id": int(rows.users[row]), "item_id": int(rows.items[row])}
            for row in np.flatnonzero(mask)[: max(0, examples - len(found))]
        ]
    return {
        "pair": f"{rows.split} in train",
        "rows": rows.rows,
        "shared_users": float(len(np.unique(rows.users[returning])) / max(1, len(np.unique(rows.users)))),
        "rows_of_shared_users": float(returning.mean()),
        "identical_rows": int(identical.sum()),
        "copied_rows": float(copied.mean()),
    }


def _among(wanted: Hashes, ordered: Hashes) -> np.ndarray:
    if not len(ordered):
        return np.zeros(len(wanted), np.bool_)
    return np.asarray(ordered[np.searchsorted(ordered, wanted).clip(max=len(ordered) - 1)] == wanted)
