"""MicroLens_1M_MMCTR as it was released is already in the challenge's form: looked at here, not copied.

Footers and the first row group of each file are read, which takes a second whatever the size; the validate step
reads every row.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset.images import ImageFolder
from components.dataset.importers.report import ImportReport
from components.dataset.layout import (
    HISTORY,
    IMAGE_EMBEDDING,
    ITEM,
    ITEM_EMBEDDING,
    LABEL,
    LIKES,
    MAX_HISTORY,
    SPLITS,
    TAGS,
    TEXT_EMBEDDING,
    TITLE,
    USER,
    VIEWS,
    find_file,
)
from components.errors import StepError

_NUMBER, _LIST, _TEXT = "whole numbers", "lists of whole numbers", "text"
_ROW_COLUMNS = {USER: _NUMBER, ITEM: _NUMBER, HISTORY: _LIST, LIKES: _NUMBER, VIEWS: _NUMBER, LABEL: _NUMBER}
_ITEM_COLUMNS = {ITEM: _NUMBER, TITLE: _TEXT, TAGS: _LIST, LIKES: _NUMBER, VIEWS: _NUMBER}


def microlens(folder: Path) -> ImportReport:
    """Says what is there, what is missing and whether the contract holds."""
    if not folder.is_dir():
        raise StepError(f"{folder} is not a folder: give the one that the release was unpacked into")
    lines: list[str] = []
    problems: list[str] = []
    for split in SPLITS:
        optional = {LABEL} if split == "test" else set()
        _check(folder, f"{split}.parquet", _ROW_COLUMNS, optional, lines, problems)
    items = _check(folder, "item_feature.parquet", _ITEM_COLUMNS, set(), lines, problems)
    info = find_file(folder, "item_info.parquet")
    lines.append("item_info.parquet: " + ("there, used as it is" if info else "not there; the embed step makes it"))
    if items is not None and info is None:
        _check_content(folder, items, lines, problems)
    elif info is not None:
        _check(folder, "item_info.parquet", {ITEM: _NUMBER}, set(), lines, problems, also=ITEM_EMBEDDING)
    return ImportReport(tuple(lines), tuple(problems))


def _check(
    folder: Path, name: str, columns: dict[str, str], optional: set[str], lines: list[str], problems: list[str],
    also: str = "",
) -> pa.Schema | None:  # fmt: skip
    path = find_file(folder, name)
    if path is None:
        problems.append(f"{name} is missing in {folder}: unpack the whole release there")
        return None
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            first = file.read_row_group(0, columns=[c for c in columns if c in schema.names]) if rows else None
    except (pa.ArrowException, OSError) as error:
        problems.append(f"{name} is not readable Parquet ({str(error).splitlines()[0]}): fetch it again")
        return None
    missing = [c for c in (*columns, *([also] if also else [])) if c not in schema.names and c not in optional]
    problems += [f"{name} lacks the column {c}: is it a file of this release?" for c in missing]
    for column, kind in columns.items():
        if column in schema.names and not _is(kind, schema.field(column).type):
            problems.append(f"{name}: {column} holds {schema.field(column).type}, and should hold {kind}")
    if first is None:
        problems.append(f"{name} has no rows: fetch it again")
    elif HISTORY in first.schema.names and _is(_LIST, first.schema.field(HISTORY).type):
        problems += [f"{name}: {text}" for text in _check_histories(first.column(HISTORY))]
    unlabelled = ", without labels" if LABEL in optional and LABEL not in schema.names else ""
    lines.append(f"{name}: {rows} rows{unlabelled}")
    return schema


def _check_histories(column: pa.ChunkedArray) -> list[str]:
    found = []
    histories = column.combine_chunks()
    histories = histories.chunk(0) if isinstance(histories, pa.ChunkedArray) else histories
    lengths = np.diff(histories.offsets.to_numpy())
    flat = histories.flatten()
    if histories.null_count or flat.null_count:
        return [f"{HISTORY} has empty cells: fetch the file again"]
    if len(lengths) and lengths.max() > MAX_HISTORY:
        found.append(f"{HISTORY} is up to {lengths.max()} long, and may be at most {MAX_HISTORY}")
    values = flat.to_numpy(zero_copy_only=False)
    row = np.repeat(np.arange(len(lengths)), lengths)
    zero_after_item = (values[1:] == 0) & (values[:-1] != 0) & (row[1:] == row[:-1])
    if zero_after_item.any():
        found.append(f"{HISTORY} holds 0 after an item (row {row[1:][zero_after_item][0] + 1}): pad on the left")
    return found


def _check_content(folder: Path, items: pa.Schema, lines: list[str], problems: list[str]) -> None:
    columns = [name for name in (TEXT_EMBEDDING, IMAGE_EMBEDDING) if name in items.names]
    try:
        images = len(ImageFolder(folder))
    except StepError as error:
        problems.append(str(error))
        return
    lines.append(f"embeddings already computed: {', '.join(columns) or 'none'}; images: {images}")
    if not columns and not images:
        problems.append("neither images nor computed embeddings: unpack item_images into the folder")


def _is(kind: str, found: pa.DataType) -> bool:
    types = pa.types
    if kind == _LIST:
        listed = types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found)
        return bool(listed and types.is_integer(found.value_type))
    if kind == _TEXT:
        return bool(types.is_string(found) or types.is_large_string(found))
    return bool(types.is_integer(found))
