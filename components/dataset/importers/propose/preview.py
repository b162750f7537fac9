"""A few rows of a proposal as the model will see them: titles instead of ids, and the code of each feature."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset.importers.log.convert import LogImport, import_log
from components.dataset.layout import HISTORY, ITEM, LABEL, TITLE, USER, USER_IDS, item_feature_path, split_path
from components.errors import StepError
from components.schema.declared import Declared, read_schema_file
from components.schema.encoder import FeatureError
from components.schema.fit import fit_feature
from components.schema.fitted import raw_column

ROWS = 5
_NEWEST = 2  # clicks of a history that are shown
_LONGEST = 30  # characters of a cell


def preview(settings: LogImport) -> list[dict[str, str]]:
    """Imports what `settings` names and shows rows of it, those with a history first."""
    import_log(settings)
    schema = read_schema_file(settings.features)
    rows = pq.read_table(split_path(settings.out, "train"))
    items = pq.read_table(item_feature_path(settings.out))
    users = pq.read_table(settings.out / USER_IDS)
    names = dict(zip(users["id"].to_pylist(), users["raw"].to_pylist(), strict=True))
    titles = dict(zip(items[ITEM].to_pylist(), items[TITLE].to_pylist(), strict=True))
    lengths = rows[HISTORY].combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
    known = np.flatnonzero(lengths > 0) if (lengths > 0).any() else np.arange(len(lengths))
    chosen = known[np.linspace(0, len(known) - 1, min(ROWS, len(known))).astype(np.int64)]
    place = {item: number for number, item in enumerate(items[ITEM].to_pylist())}
    of_rows = {feature.name: _coded(feature, rows, chosen) for feature in schema.row}
    targets = np.array([place[item] for item in rows[ITEM].take(chosen).to_pylist()], np.int64)
    of_items = {feature.name: _coded(feature, items, targets) for feature in schema.item}
    shown = []
    for number, row in enumerate(rows.take(chosen).to_pylist()):
        newest = ", ".join(titles[item][:_LONGEST] for item in row[HISTORY][-_NEWEST:])
        history = f"{len(row[HISTORY])} clicks, the newest: {newest}" if newest else "none"
        coded = {name: cells[number] for name, cells in {**of_rows, **of_items}.items()}
        line = {"user": names[row[USER]], "history": history, "item": titles[row[ITEM]][:_LONGEST]}
        shown.append({**line, **coded, "label": str(row[LABEL])})
    return shown


def _coded(feature: Declared, table: pa.Table, chosen: np.ndarray[Any, Any]) -> list[str]:
    """The raw value and what the network gets for it."""
    column = table[feature.name]
    try:
        codes = fit_feature(feature, [raw_column(column)]).encode(raw_column(column.take(chosen)))
    except (StepError, FeatureError) as error:
        raise StepError(f"feature {feature.name!r}: {error}") from None
    values = column.take(chosen).to_pylist()
    return [f"{_shown(value)} → {_shown(code)}" for value, code in zip(values, codes.tolist(), strict=True)]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_shown, value)) or "nothing"
    if isinstance(value, float):
        return f"{value:.3g}"
    return "nothing" if value is None else str(value)[:_LONGEST]


def settings_for(folder: Path, log: Path, items: Path | None) -> LogImport:
    """Of a sample of a log, in a scratch folder that also holds the proposed features.yaml."""
    return LogImport(log, folder / "features.yaml", folder / "imported", items, min_history=0)
