"""The table of small mistakes says what their results say."""

from pathlib import Path
from typing import Any

from benchmarks.mutants import page, table
from benchmarks.reliability import PAGE


def mutant(end: str, at_first: str, **more: str) -> dict[str, Any]:
    row = {"file": "model/losses.py", "line": 7, "before": "a < b", "after": "(a <= b)", "commit": "abc1234"}
    return row | {"end": end, "at_first": at_first, **more}


def test_the_page_equals_the_results() -> None:
    assert Path(PAGE).read_text() == page(), "run python -m benchmarks.mutants"


def test_each_end_is_counted_and_what_was_not_noticed_is_listed() -> None:
    lines = table(
        [
            mutant("killed", "killed"),
            mutant("timeout", "survived"),
            mutant("survived", "survived", before="x = 1"),
            mutant("equivalent", "survived", before="y = 1", after="", reason="It is the same."),
        ]
    )
    assert "| `model` | 4 | 1 | 1 | 2 (67%) | 1 |" in lines
    assert "| **all** | 4 | 1 | 1 | 2 (67%) | 1 |" in lines
    assert "- `model/losses.py`, line 7: `x = 1` became `(a <= b)`." in lines
    assert "- `model/losses.py`, line 7: `y = 1` became `nothing`. It is the same." in lines
    assert lines[-1] == "Commits (mistakes tried): abc1234 (4)."
