"""What valid and test share with train."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from components.dataset import layout
from components.validate.measured import Line, Measured
from components.validate.parquet import Bools, ContractFile, Ints
from components.validate.rows import Clicks, Hashes, SplitRows

_SHORT = 3  # clicks: shorter histories coincide by chance
_USER_MULTIPLIER, _ITEM_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)


def measure_leakage(splits: dict[str, SplitRows], source: ContractFile, measured: Measured, examples: int) -> None:
    """`source` is train's file: what a split's users clicked is looked for in train's histories."""
    train = splits.get("train")
    others = [rows for name, rows in splits.items() if name != "train" and rows.rows]
    if train is None or not others:
        measured.missing("pairs", "train and another split could not be read")
        return
    users, keys, targets = np.unique(train.users), np.sort(train.keys), np.sort(train.targets)
    of_users = np.sort(train.of_users)
    known = _clicked_before(others, users, source)
    lines = []
    for rows in others:
        marks = {
            "shared_users": np.isin(rows.users, users),
            "identical_rows": _among(rows.keys, keys),
            "clicked_before": _among(_pairs(rows.users, rows.items), known),
        }
        marks["copied_rows"] = (
            _among(rows.targets, targets) & ~_among(rows.of_users, of_users) & (rows.lengths >= _SHORT)
        )
        lines.append(_line(rows, marks))
        for column, mask in marks.items():
            _example(measured, column, rows, mask, examples)
    measured.counts["pairs.identical_rows"] = sum(line["identical_rows"] for line in lines)
    measured.missing("pairs.clicked_before", "no user of valid or test is in train")
    measured.add("pairs", "pair", lines)


def _line(rows: SplitRows, marks: dict[str, Bools]) -> Line:
    returning = marks["shared_users"]
    clicked = returning if rows.labels is None else returning & (rows.labels == 1)
    return {
        "pair": f"{rows.split} in train",
        "rows": rows.rows,
        "shared_users": len(np.unique(rows.users[returning])) / len(np.unique(rows.users)),
        "rows_of_shared_users": float(returning.mean()),
        "identical_rows": int(marks["identical_rows"].sum()),
        "copied_rows": float(marks["copied_rows"].mean()),
        "clicked_before": float(marks["clicked_before"][clicked].mean()) if clicked.any() else np.nan,
    }


def _example(measured: Measured, column: str, rows: SplitRows, mask: Bools, examples: int) -> None:
    found = measured.examples.setdefault(f"pairs.{column}", [])
    found += [
        {"split": rows.split, "row": int(row), "user_id": int(rows.users[row]), "item_id": int(rows.items[row])}
        for row in np.flatnonzero(mask)[: max(0, examples - len(found))]
    ]


def _clicked_before(others: list[SplitRows], users: Ints, source: ContractFile) -> Hashes:
    """The (user, target) pairs of the other splits that train's histories hold, sorted. Reads train once more."""
    returning = [np.isin(rows.users, users) for rows in others]
    wanted = np.unique(
        np.concatenate(
            [_pairs(rows.users[mask], rows.items[mask]) for rows, mask in zip(others, returning, strict=True)]
        )
    )
    found = np.zeros(len(wanted), np.bool_)
    again = replace(source, nulls=0, null_columns={})  # the first reading has counted them
    if len(wanted):
        for _, _, batch in again.batches([layout.USER, layout.HISTORY]):
            clicks = Clicks.of(*again.integer_lists(batch, layout.HISTORY))
            pairs = _pairs(again.integers(batch, layout.USER)[clicks.row], clicks.items)
            places = np.searchsorted(wanted, pairs).clip(max=len(wanted) - 1)
            found[places[wanted[places] == pairs]] = True
    return wanted[found]


def _pairs(users: Ints, items: Ints) -> Hashes:
    return np.asarray(users.astype(np.uint64) * _USER_MULTIPLIER + items.astype(np.uint64) * _ITEM_MULTIPLIER)


def _among(wanted: Hashes, ordered: Hashes) -> npt.NDArray[np.bool_]:
    if not len(ordered):
        return np.zeros(len(wanted), np.bool_)
    return np.asarray(ordered[np.searchsorted(ordered, wanted).clip(max=len(ordered) - 1)] == wanted)
