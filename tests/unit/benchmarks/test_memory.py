"""The benchmark of memory runs, and its figures follow what a training has to keep of each row and item."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import memory


def test_the_order_of_an_epoch_takes_eight_bytes_a_row() -> None:
    few, many = memory.alone("rows", 100_000), memory.alone("rows", 4_000_000)
    assert many["peak_mb"] - few["peak_mb"] > 20, "the order of 4 million rows takes 31 MB"


def test_the_item_table_is_mapped_and_not_copied() -> None:
    memory.of_items(1000, "rowwise")  # torch keeps some memory from its first step on
    few, many = memory.of_items(1000, "rowwise"), memory.of_items(200_000, "rowwise")
    assert many["table_mb"] > 100
    # An item takes memory for its id embedding, the gradient and work space: 50 to 95 MB in all. A copy of the table
    # would come on top of that.
    assert many["peak_mb"] - few["peak_mb"] < many["table_mb"] * 1.2


def test_each_size_is_measured_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "memory.json"
    monkeypatch.setattr(sys, "argv", ["memory", "--rows", "100000", "--items", "--out", str(out)])
    memory.main()
    found = json.loads(out.read_text())
    assert found["machine"]["commit"]
    assert [row["rows"] for row in found["rows"]] == [100_000]
    assert found["items"] == []
