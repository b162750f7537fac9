from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.cli.screen import RunScreen

VERDICT = {"passed": True, "rules": []}
METRICS = {"candidate": {"auc": {"value": 0.8123, "low": 0.801, "high": 0.823}}}
REGISTRATION = {"name": "mmctr", "version": "3", "alias": "challenger", "validation_status": "pending"}


def _concluded(events: list[dict[str, Any]], found: dict[str, Any]) -> str:
    output = StringIO()
    with RunScreen(Path("run.log"), Console(file=output, width=120)) as screen:
        for event in events:
            screen.show(event)
    screen.conclude(found, 61.0)
    return output.getvalue()


def test_a_registered_model_ends_with_version_alias_verdict_and_report() -> None:
    events = [
        {"kind": "step", "name": "gate", "state": "started", "time": 10.0},
        {"kind": "step", "name": "gate", "state": "finished", "time": 12.5},
    ]
    report = Path("/runs/report.html")
    text = _concluded(events, {"verdict": VERDICT, "metrics": METRICS, "registration": REGISTRATION, "report": report})
    for words in ("gate", "2.5 s", "mmctr version 3, alias challenger, validation pending", "pass", "0.8123"):
        assert words in text
    assert "report     /runs/report.html" in text
    assert "next       mmctr review show 3" in text


def test_a_failed_gate_registers_nothing_and_says_so() -> None:
    rules = [
        {"passed": False, "sentence": "AUC is 0.81; the floor is 0.90."},
        {"passed": True, "sentence": "Enough rows."},
    ]
    verdict = {"passed": False, "rules": rules}
    text = _concluded([], {"verdict": verdict, "metrics": METRICS, "report": Path("r.html")})
    assert "the champion stays" in text
    assert "the floor is 0.90" in text
    assert "Enough rows" not in text
    assert "registered" not in text


@pytest.mark.parametrize("cause", ["users 3, 4 are in two splits", "[bold]odd[/bold] names stay as they are"])
def test_a_failed_step_is_named_with_its_cause_and_what_to_do(cause: str) -> None:
    events = [
        {"kind": "step", "name": "validate", "state": "started", "time": 0.0},
        {"kind": "step", "name": "validate", "state": "failed", "time": 1.0, "cause": cause},
    ]
    text = _concluded(events, {})
    assert f"validate: {cause}" in text
    assert "nothing was registered" in text
    assert "run.log" in text


def test_progress_of_a_step_is_drawn_without_markup_from_its_words() -> None:
    events = [
        {"kind": "step", "name": "embed", "state": "started", "time": 0.0},
        {"kind": "progress", "name": "[red]x", "total": 5, "unit": "items", "done": 2, "rate": 1.0, "note": ""},
    ]
    assert "without a verdict" in _concluded(events, {})
