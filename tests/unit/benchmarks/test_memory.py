"""The benchmark of memory runs, and its figures follow what a training has to keep of each row and item."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import memory


def test_the_order_of_an_epoch_takes_eight_bytes_a_row() -> None:
    few, many = memory.alone("rows", 100_000), memory.alone("rows", 20_000_000)
    assert many["peak_mb"] - few["peak_mb"] > 100, "the order of 20 million rows takes 153 MB"


def test_the_item_table_is_mapped_and_not_copied() -> None:
    found = memory.of_items(200_000, "rowwise")
    assert found["table_mb"] > 100
    # The kernel says it of each mapped file. The peak of the whole process differs by tens of MB from run to run.
    assert found["copied_mb"]["content_NC"] == 0
    assert found["copied_mb"]["codes_NX"] == 0


def test_each_size_is_measured_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "memory.json"
    monkeypatch.setattr(sys, "argv", ["memory", "--rows", "100000", "--items", "--out", str(out)])
    memory.main()
    found = json.loads(out.read_text())
    assert found["machine"]["commit"]
    assert [row["rows"] for row in found["rows"]] == [100_000]
    assert found["items"] == []
