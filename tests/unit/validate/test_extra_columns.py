"""Columns beyond the contract: any name, any number; a run warns of them, and goes on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.dataset.sample import SIZES, write_sample
from components.process.progress import progress
from components.validate.config import ValidatePolicy
from components.validate.measure import STORIES, measure
from components.validate.parquet import ContractFile
from components.validate.step import validate
from tests.unit.validate.good_data import edit, with_column, write_no_champion


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_sample(tmp_path / "data", replace(SIZES["tiny"], content="item_info"))
    return tmp_path / "data"


@pytest.mark.parametrize("name", ["price, EUR", "50% {x}", ""])
def test_a_column_of_any_name_is_shown_and_stops_nothing(data: Path, tmp_path: Path, name: str) -> None:
    edit("train", lambda table: with_column(table, name, np.arange(table.num_rows) % 7))(data)
    verdict = validate(data, write_no_champion(tmp_path), ValidatePolicy(), tmp_path / "out")
    assert verdict["status"] == "warned"
    [found] = [rule for rule in verdict["rules"] if not rule["passed"]]
    assert found["name"] == "no-extra-columns"
    assert repr(name) in found["message"]


def test_of_many_extra_columns_64_are_measured_and_the_others_counted(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pq.read_table(data / "train.parquet")
    value = pa.array(np.arange(rows.num_rows) % 7)
    for number in range(500):
        rows = rows.append_column(f"extra {number}", value)
    pq.write_table(rows, data / "train.parquet")
    read: list[str] = []
    batches = ContractFile.batches

    def noting(self: ContractFile, columns: list[str], **more: int) -> Any:
        read.extend(name for name in columns if name.startswith("extra"))
        return batches(self, columns, **more)

    monkeypatch.setattr(ContractFile, "batches", noting)
    with progress("validate", STORIES + 1, "stories") as bar:
        measured = measure(data, write_no_champion(tmp_path), ValidatePolicy(), frozenset(), bar).measured
    assert read == [f"extra {number}" for number in range(64)]
    named = measured.tables["baselines"]["baseline"].tolist()
    assert [name for name in named if "extra" in name] == [*read, "436 more extra columns: not measured"]
    shown = measured.tables["files"].set_index("file").loc["train.parquet", "extra_columns"]
    assert str(shown).endswith("'extra 9' and 490 more")
