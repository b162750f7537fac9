"""The files of the data contract: which there are, whether they open, whether their columns are those agreed on."""

from pathlib import Path

from components.dataset import layout
from components.validate.measured import Measured
from components.validate.parquet import Source, open_source

SPLIT_COLUMNS = {
    layout.USER: "an integer",
    layout.ITEM: "an integer",
    layout.HISTORY: "a list of integers",
    layout.LIKES: "an integer",
    layout.VIEWS: "an integer",
}
ITEM_COLUMNS = {
    layout.ITEM: "an integer",
    layout.TITLE: "a text",
    layout.TAGS: "a list of integers or texts",
    layout.LIKES: "an integer",
    layout.VIEWS: "an integer",
}
ITEM_VECTORS = {layout.TEXT_EMBEDDING: "a list of floats", layout.IMAGE_EMBEDDING: "a list of floats"}
INFO_COLUMNS = {
    layout.ITEM: "an integer",
    layout.TAGS: "a list of integers",
    layout.ITEM_EMBEDDING: "a list of floats",
}


def open_dataset(data: Path) -> dict[str, Source]:
    """Opens every parquet file; the public challenge's test has no label, and item_info is made by a later step."""
    sources = {}
    for split in layout.SPLITS:
        label = {layout.LABEL: "an integer"}
        required, optional = (SPLIT_COLUMNS, label) if split == "test" else ({**SPLIT_COLUMNS, **label}, {})
        sources[split] = open_source(split, layout.split_path(data, split), required, optional)
    sources["item_feature"] = open_source("item_feature", layout.item_feature_path(data), ITEM_COLUMNS, ITEM_VECTORS)
    if layout.item_info_path(data).exists():
        sources["item_info"] = open_source("item_info", layout.item_info_path(data), INFO_COLUMNS, {})
    return sources


def measure_files(sources: dict[str, Source], measured: Measured) -> None:
    """Call it last: pages that break and nulls are found while the other stories read the files."""
    lines = []
    for source in sources.values():
        lines.append(
            {
                "file": source.path.name,
                "absent": source.absent,
                "unreadable": source.unreadable,
                "missing_columns": source.missing_columns,
                "wrong_types": source.wrong_types,
                "extra_columns": source.extra_columns,
                "nulls": source.nulls,
                "rows": source.rows,
            }
        )
        for column, count in source.null_columns.items():
            measured.examples.setdefault("files.nulls", []).append(
                {"file": source.path.name, "column": column, "nulls": count}
            )
    measured.counts["files.nulls"] = sum(source.nulls for source in sources.values())
    measured.add("files", "file", lines)
