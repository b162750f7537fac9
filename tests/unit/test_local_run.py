"""What the tests of whole runs wait for."""

import json
from pathlib import Path

import pytest

from tests.local_run import events_in, wait_for_step


def begin(workspace: Path, run: str, *steps: str) -> Path:
    events = workspace / "runs" / run / "events.jsonl"
    events.parent.mkdir(parents=True)
    started = [{"kind": "step", "name": name, "state": "started", "time": 1.0} for name in steps]
    events.write_text("".join(json.dumps(event) + "\n" for event in started))
    return events


def test_a_step_of_an_earlier_run_is_not_taken_for_one_of_the_new_run(tmp_path: Path) -> None:
    begin(tmp_path, "1", "ingest", "validate")
    earlier = events_in(tmp_path)
    with pytest.raises(AssertionError, match="validate did not start"):
        wait_for_step(tmp_path, "validate", seconds=0.2, earlier=earlier)
    new = begin(tmp_path, "2", "ingest", "validate")
    assert wait_for_step(tmp_path, "validate", seconds=5, earlier=earlier) == new
