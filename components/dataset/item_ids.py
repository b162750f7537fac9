"""The ids of items: a team's own ids and the numbers that stand for them, and a set of numbers as a short text, for the
JSON files that travel with a model (a compressed bitmap).
"""

import base64
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.dataset.layout import ITEM_IDS
from components.errors import StepError
from components.schema.encoder import NUMBERED, UNKNOWN_ITEM, ItemIds

Ints = npt.NDArray[np.int64]


def pack_ids(ids: Ints) -> str:
    """92,000 items take about 12 kB of text."""
    bits = np.zeros(int(ids.max(initial=0)) + 1, np.bool_)
    bits[ids[ids >= 0]] = True
    return base64.b64encode(zlib.compress(np.packbits(bits).tobytes(), 9)).decode()


def unpack_ids(text: str) -> Ints:
    """Raises ValueError or zlib.error on a damaged text."""
    bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8))
    return np.flatnonzero(bits).astype(np.int64)


def read_item_ids(folder: Path) -> ItemIds:
    """Of a data set or a model package; without the file, rows name items by their numbers."""
    path = folder / ITEM_IDS
    if not path.is_file():
        return NUMBERED
    try:
        table = pq.read_table(path, columns=["id", "raw"])
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise StepError(f"{path} can't be read ({error}): it holds the columns id and raw") from None
    number, own = table["id"], table["raw"]
    if not (pa.types.is_integer(number.type) and (pa.types.is_string(own.type) or pa.types.is_large_string(own.type))):
        raise StepError(f"{path}: id is {number.type} and raw is {own.type}; must be an integer and a text")
    for column, name in ((number, "id"), (pc.utf8_length(own), "raw")):
        if column.null_count or (len(column) and pc.min(column).as_py() < 1):
            raise StepError(f"{path}: a value of {name} is missing; ids are whole numbers from 1, raw is never empty")
    for column, name in ((number, "id"), (own, "raw")):
        if pc.count_distinct(column).as_py() != len(column):
            twice = pc.value_counts(column.combine_chunks())
            value = next(pair["values"] for pair in twice.to_pylist() if pair["counts"] > 1)
            raise StepError(f"{path}: {name} holds {value!r:.60} twice; each item has one row")
    return ItemIds(dict(zip(own.to_pylist(), number.to_pylist(), strict=True)))


def in_numbers_of(beside: ItemIds, version: ItemIds) -> ItemIds:
    """For rows that hold the numbers of a data set: what a version with numbers of its own calls these items."""
    if beside.number is None or version.number is None:
        return version
    known = version.number
    return ItemIds({str(number): known.get(own, UNKNOWN_ITEM) for own, number in beside.number.items()})


def renumbered(today: ItemIds, before: ItemIds) -> ItemIds:
    """For rows in today's numbers: what an earlier version calls these items, if it numbered them otherwise."""
    if today.number is None or before.number is None:
        return NUMBERED
    own = {number: text for text, number in before.number.items()}
    same = all(today.number.get(text, number) == number for text, number in before.number.items())
    same = same and all(own.get(number, text) == text for text, number in today.number.items())
    return NUMBERED if same else in_numbers_of(today, before)
