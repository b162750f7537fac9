"""Rows moved aside: their numbers for the later steps, and the rows themselves for the person who corrects them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset import layout
from components.storage.files import atomic_path, write_json
from components.validate.measured import Flagged
from components.validate.parquet import ContractFile


def write_quarantine(
    sources: dict[str, ContractFile], flagged: Flagged, rule_names: dict[str, str], out: Path
) -> dict[str, int]:
    """`rule_names` maps a column of the table `rows` to its rule. Returns how many rows of each split moved."""
    numbers = {split: flagged.of(split) for split in layout.SPLITS}
    write_json(out / "quarantine.json", {split: found.tolist() for split, found in numbers.items()})
    tables = []
    for split, found in numbers.items():
        if len(found):
            reasons = flagged.reasons(split)
            table = _take(sources[split], found)
            table = table.add_column(
                0,
                "rules",
                pa.array(
                    [[rule_names[column] for column in reasons[number]] for number in found.tolist()],
                    pa.list_(pa.string()),
                ),
            )
            table = table.add_column(0, "row", pa.array(found, pa.int64()))
            tables.append(table.add_column(0, "split", pa.array([split] * len(found), pa.string())))
    if tables:
        # Splits may differ: the public test has no label.
        whole = pa.concat_tables(tables, promote_options="permissive")
        with atomic_path(out / "quarantine.parquet") as scratch:
            pq.write_table(whole, scratch)
    return {split: len(found) for split, found in numbers.items()}


def _take(source: ContractFile, numbers: np.ndarray) -> pa.Table:
    """Reads the batches that hold wanted rows, and keeps those rows."""
    parts = []
    assert source.footer.schema is not None
    for _, start, batch in source.batches(source.footer.schema.names):
        low, high = np.searchsorted(numbers, [start, start + batch.num_rows])
        if low < high:
            parts.append(pa.Table.from_batches([batch]).take(numbers[low:high] - start))
    return pa.concat_tables(parts)
