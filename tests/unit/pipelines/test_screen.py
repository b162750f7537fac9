from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.cli.screen import RunScreen

VERDICT = {"passed": True, "rules": []}
METRICS = {"candidate": {"auc": {"value": 0.8123, "low": 0.801, "high": 0.823}}}
REGISTRATION = {
    "name": "mmctr",
    "version": "3",
    "alias": "challenger",
    "validation_status": "pending",
    "new": True,
}
FOUND = {"verdict": VERDICT, "metrics": METRICS, "registration": REGISTRATION, "report": Path("/runs/report.html")}
WORKSPACE = Path(".mmctr").resolve()


def _concluded(
    events: list[dict[str, Any]], found: dict[str, Any], status: int = 0, workspace: Path = WORKSPACE, width: int = 120
) -> str:
    output = StringIO()
    with RunScreen(Path("run.log"), workspace, Console(file=output, width=width)) as screen:
        for event in events:
            screen.show(event)
    screen.conclude(found, 61.0, status)
    return output.getvalue()


def test_a_registered_model_ends_with_version_alias_verdict_and_report() -> None:
    events = [
        {"kind": "step", "name": "gate", "state": "started", "time": 10.0},
        {"kind": "step", "name": "gate", "state": "finished", "time": 12.5},
    ]
    text = _concluded(events, FOUND)
    for words in ("gate", "2.5 s", "mmctr version 3, alias challenger, validation pending", "pass", "0.8123"):
        assert words in text
    assert "report     /runs/report.html" in text
    assert "next       mmctr review show 3, or mmctr ui (" in text


def test_at_60_columns_no_line_is_cut_or_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    report = Path("/a/rather/long/folder/of/a/person/with/many/projects/.mmctr/runs/2026/steps/decision/report.html")
    lines = _concluded([], {**FOUND, "report": report}, width=60).splitlines()
    assert "registered mmctr version 3, alias challenger, validation pending" in lines
    assert f"report     {report}" in lines
    assert f"registry   sqlite:///{WORKSPACE / 'mlflow.db'}" in lines


def test_the_password_of_a_registry_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ada:pass-word@mlflow.example.com/at?key=pass-word")
    text = _concluded([], FOUND)
    assert "registry   https://mlflow.example.com/at\n" in text
    assert "pass-word" not in text


def test_in_another_workspace_the_next_command_names_it(tmp_path: Path) -> None:
    text = _concluded([], FOUND, workspace=tmp_path)
    assert f"mmctr review show 3 --workspace {tmp_path}, or mmctr ui --workspace {tmp_path}" in text


@pytest.mark.parametrize(
    ("alias", "status", "words"),
    [
        pytest.param("champion", "approved", "version 3 is the champion already", id="the champion"),
        pytest.param("challenger", "pending", "version 3 waits for review already", id="the challenger"),
        pytest.param(None, "rejected", "version 3 is there already, rejected", id="a rejected one"),
    ],
)
def test_a_run_that_changed_nothing_says_so(alias: str | None, status: str, words: str) -> None:
    again = {**REGISTRATION, "alias": alias, "validation_status": status, "new": False}
    text = _concluded([], {**FOUND, "registration": again})
    assert f"unchanged  mmctr {words}; nothing new was registered" in text
    assert "None" not in text
    assert ("review show" in text) == (status == "pending")


def test_a_failed_gate_registers_nothing_and_says_so() -> None:
    rules = [
        {"passed": False, "sentence": "AUC is 0.81; the floor is 0.90."},
        {"passed": True, "sentence": "Enough rows."},
    ]
    verdict = {"passed": False, "rules": rules}
    text = _concluded([], {"verdict": verdict, "metrics": METRICS, "report": Path("r.html")})
    assert "fail: nothing is registered" in text
    assert "the floor is 0.90" in text
    assert "Enough rows" not in text
    assert "next       read in the report" in text


@pytest.mark.parametrize("cause", ["users 3, 4 are in two splits", "[bold]odd[/bold] names stay as they are"])
def test_a_failed_step_is_named_with_its_cause_and_what_to_do(cause: str) -> None:
    events = [
        {"kind": "step", "name": "validate", "state": "started", "time": 0.0},
        {"kind": "step", "name": "validate", "state": "failed", "time": 1.0, "cause": cause},
    ]
    text = _concluded(events, {}, status=1)
    assert f"validate: {cause}" in text
    assert "nothing was registered" in text
    assert "run.log" in text


def test_a_step_that_was_killed_is_named_and_the_likely_reason_given() -> None:
    events = [
        {"kind": "step", "name": "embed", "state": "started", "time": 0.0},
        {"kind": "progress", "name": "[red]x", "total": 5, "unit": "items", "done": 2, "rate": 1.0, "note": ""},
    ]
    text = _concluded(events, {}, status=1)
    assert "failed     embed: its process ended without giving a reason; the system kills one when memory" in text
    assert "failed     the pipeline: its process ended without giving a reason (killed by signal 9)" in _concluded(
        [], {}, status=-9
    )
