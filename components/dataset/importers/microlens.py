"""Checks the public MicroLens_1M_MMCTR release, which keeps the data contract as it is. Nothing is copied.

The footers and the first histories of each file are read, which takes a second whatever the size. The validate step
reads every row.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset.footers import Footer, read_footers
from components.dataset.images import ImageFolder
from components.dataset.importers.report import ImportReport
from components.dataset.layout import HISTORY, IMAGE_EMBEDDING, LABEL, MAX_HISTORY, TEXT_EMBEDDING, find_file
from components.errors import StepError


def microlens(folder: Path) -> ImportReport:
    """Says what is there, what is missing and whether the contract holds."""
    if not folder.is_dir():
        raise StepError(f"{folder} is not a folder: give the one that the release was unpacked into")
    lines: list[str] = []
    problems: list[str] = []
    footers = read_footers(folder)
    for name, footer in footers.items():
        if name != "item_info":
            _check(folder, footer, lines, problems)
    info = footers.get("item_info")
    lines.append("item_info.parquet: " + ("there, used as it is" if info else "not there; the embed step makes it"))
    if info is not None:
        problems += info.problems
    elif (items := footers["item_feature"].schema) is not None:
        _check_content(folder, items, lines, problems)
    return ImportReport(tuple(lines), tuple(problems))


def _check(folder: Path, footer: Footer, lines: list[str], problems: list[str]) -> None:
    name = footer.contract.name
    problems += [f"{problem}: fetch or unpack the release again" for problem in footer.problems]
    if footer.schema is None:
        return
    if not footer.rows:
        problems.append(f"{name} has no rows: fetch it again")
    elif footer.usable and HISTORY in footer.contract.required:
        path = find_file(folder, name)
        assert path is not None
        with pq.ParquetFile(path) as file:
            problems += [f"{name}: {text}" for text in _check_histories(file.read_row_group(0, [HISTORY])[HISTORY])]
    unlabelled = ", without labels" if LABEL in footer.contract.optional and LABEL not in footer.schema.names else ""
    lines.append(f"{name}: {footer.rows} rows{unlabelled}")


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
