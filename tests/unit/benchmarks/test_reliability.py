"""The page of the fault runs says what their results say."""

from pathlib import Path

from benchmarks.reliability import PAGE, page, table

MACHINE = {"date": "2026-11-28", "commit": "abc1234", "cpu": "a cpu", "cores": 2, "load_average": 0.5}


def test_the_page_equals_the_results() -> None:
    assert Path(PAGE).read_text() == page(), "run python -m benchmarks.reliability"


def test_every_kind_and_every_outcome_is_counted() -> None:
    faults = [
        {"kind": "train", "outcome": "recovered"},
        {"kind": "train", "outcome": "wrong"},
        {"kind": "embed", "outcome": "told"},
    ]
    lines = table({"kills": {"machine": MACHINE, "seed": 16, "complete": False, "faults": faults}})
    assert "|  | train | 2 | 1 | 0 | 1 |" in lines
    assert "|  | embed | 1 | 0 | 1 | 0 |" in lines
    assert "| **processes killed during `mmctr run`** | **all** | 3 | 1 | 1 | 1 |" in lines
    amounts = [{"kind": f"{size} KiB free", "outcome": "told"} for size in (128, 0, 16)]
    rows = table({"disk": {"machine": MACHINE, "seed": 16, "complete": True, "faults": amounts}})[2:5]
    assert [row.split("|")[2].strip() for row in rows] == ["0 KiB free", "16 KiB free", "128 KiB free"]
    assert lines[-1].endswith("load average 0.5 at the start. The run was broken off before its end.")
