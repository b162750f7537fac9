import json
import logging
from pathlib import Path

import pytest

from components.process.progress import EVENTS_VARIABLE, Progress, emit, progress


def _events(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_events_go_to_the_named_file_and_end_with_the_last_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv(EVENTS_VARIABLE, str(path))
    with progress("encode", 10, "items") as bar:
        for _ in range(10):
            bar.advance()
    events = _events(path)
    assert [event["done"] for event in events][-1] == 10
    assert events[-1]["finished"] is True
    assert len(events) < 10  # told now and then, not at each step


def test_without_an_events_file_progress_goes_to_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(EVENTS_VARIABLE, raising=False)
    emit("step", name="train")
    with caplog.at_level(logging.INFO):
        Progress("encode", 10, "items", log_interval=0.0).advance(4)
    assert "encode: 4 of 10 items" in caplog.text


def test_a_full_disk_does_not_hide_the_event(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv(EVENTS_VARIABLE, "/dev/full")
    with caplog.at_level(logging.WARNING):
        emit("step", name="embed", state="failed", cause="the reason")
    assert "/dev/full could not be written (No space left on device)" in caplog.text
    assert "the reason" in caplog.text
