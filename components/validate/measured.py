"""What was measured: small tables that the rules check, and examples of what is wrong.

| table | one line is | measured in |
|---|---|---|
| files | a file of the data contract | contract.py |
| rows | a row group of a split: how many rows of it break each rule | rows.py |
| splits | a split | rows.py |
| items, items_whole | an item; all of them | items.py |
| images, images_whole | a picture that was decoded; all of them | images.py |
| embeddings, item_info, content | a column of vectors; the optional file; a kind of content | vectors.py |
| pairs | two splits | leakage.py |
| baselines | a model of one column | shortcuts.py |
| features | a feature that features.yaml declares | features.py |
| drift | the champion's training data against this one | drift.py |
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Line = dict[str, Any]


@dataclass
class Measured:
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)  # table -> the column that names a line
    examples: dict[str, list[Line]] = field(default_factory=dict)  # "table.column" -> what is wrong, a few times
    counts: dict[str, int] = field(default_factory=dict)  # "table.column" -> how many, when lines are not the count
    absent: dict[str, str] = field(default_factory=dict)  # table or "table.column" -> why it was not measured

    def add(self, table: str, key: str, lines: list[Line] | pd.DataFrame) -> None:
        self.tables[table] = lines if isinstance(lines, pd.DataFrame) else pd.DataFrame(lines)
        self.keys[table] = key

    def missing(self, where: str, reason: str) -> None:
        self.absent[where] = reason

    def why_absent(self, table: str, column: str) -> str:
        """Empty when the column was measured on at least one line."""
        frame = self.tables.get(table)
        if frame is not None and column in frame and len(frame) and not frame[column].isna().all():
            return ""
        return self.absent.get(f"{table}.{column}") or self.absent.get(table) or f"{table} could not be measured"


@dataclass
class Flagged:
    """Row numbers that break a rule whose rows are moved aside; the other rules need only counts."""

    columns: frozenset[str]  # of the table `rows`
    rows: dict[str, dict[str, list[npt.NDArray[np.int64]]]] = field(default_factory=dict)  # split -> column -> parts

    def add(self, split: str, column: str, numbers: npt.NDArray[np.int64]) -> None:
        if len(numbers) and column in self.columns:
            self.rows.setdefault(split, {}).setdefault(column, []).append(numbers)

    def of(self, split: str) -> npt.NDArray[np.int64]:
        parts = [part for found in self.rows.get(split, {}).values() for part in found]
        return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)

    def reasons(self, split: str) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for column, parts in self.rows.get(split, {}).items():
            for number in np.concatenate(parts).tolist():
                found.setdefault(number, []).append(column)
        return found
