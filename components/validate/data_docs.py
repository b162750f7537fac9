"""The Data Docs of a validation: one HTML file that needs no network."""

from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from components.dataset import layout
from components.storage.files import atomic_path
from components.validate.measured import Measured

_STORIES = (  # table -> how a person calls it; `rows`, `items` and `images` are too long to show line by line
    ("Splits", ("splits",)),
    ("Leakage", ("pairs",)),
    ("Shortcuts: what one column knows, as AUC", ("baselines",)),
    ("Drift against the champion", ("drift",)),
    ("Content", ("content", "embeddings", "items_whole", "images_whole", "item_info")),
    ("Files", ("files",)),
)
_WIDE = 8  # columns: a wider table is shown on its side
_TEMPLATE = Path(__file__).with_name("data_docs.html.j2")


def write_data_docs(path: Path, verdict: dict[str, Any], statistics: dict[str, Any], measured: Measured) -> None:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    page = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        verdict=verdict,
        failed=[rule for rule in verdict["rules"] if not rule["passed"]],
        groups=_by_table(verdict["rules"]),
        stories=[
            (title, [_cells(measured, table) for table in tables if table in measured.tables])
            for title, tables in _STORIES
        ],
        absent=measured.absent,
        charts=_charts(statistics.get("train", {})),
        rows=statistics["rows"],
    )
    with atomic_path(path) as scratch:
        scratch.write_text(page, encoding="utf-8")


def _by_table(rules: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for rule in rules:
        groups.setdefault(rule["table"], []).append(rule)
    return groups


def _cells(measured: Measured, table: str) -> dict[str, Any]:
    frame = measured.tables[table]
    if table == "drift":
        frame = frame[["feature", "measure", "value"]]
    elif table == "baselines":
        frame = _by_split(frame)
    if len(frame.columns) > _WIDE:
        key = measured.keys[table]
        frame = frame.set_index(key).T.rename_axis(index="", columns=None).reset_index()
    return {
        "name": table,
        "columns": [str(column).replace("_", " ") for column in frame.columns],
        "lines": [[_text(value) for value in line] for line in frame.itertuples(index=False)],
    }


def _by_split(baselines: pd.DataFrame) -> pd.DataFrame:
    """One line a baseline, one column a split."""
    shown = baselines[baselines["auc"].notna()]
    names = [name.removesuffix(f", {split}") for name, split in zip(shown["baseline"], shown["on"], strict=True)]
    table = shown.assign(baseline=names).pivot(index="baseline", columns="on", values="auc")
    splits = [split for split in layout.SPLITS if split in table.columns]
    return table.loc[list(dict.fromkeys(names)), splits].rename_axis(columns=None).reset_index()


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value or "–"
    if value is None or pd.isna(value):
        return "–"
    return f"{value:,.4g}" if isinstance(value, float) and not float(value).is_integer() else f"{int(value):,}"


def _charts(train: dict[str, Any]) -> list[dict[str, Any]]:
    """Bars of train's histograms: (left edge, height) in percent of the chart."""
    charts = []
    for name, title in (
        ("history_length", "Clicks in a history"),
        ("likes_level", "Likes level"),
        ("views_level", "Views level"),
    ):
        counts = train.get(name)
        if counts and sum(counts):
            last = max(i for i, count in enumerate(counts) if count) + 1
            highest, width = max(counts), 100 / last
            bars = [
                {"x": i * width, "width": width * 0.9, "height": 100 * count / highest, "title": f"{i}: {count:,}"}
                for i, count in enumerate(counts[:last])
            ]
            charts.append({"title": title, "bars": bars, "last": last - 1, "highest": highest})
    return charts
