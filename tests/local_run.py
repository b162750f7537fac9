"""`mmctr run` in processes of its own, on a small data set, as a user starts it."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Two epochs on 1,500 rows learn next to nothing: here the pipeline is tested, not the model.
SETTINGS = (
    "train.max_epochs=2",
    "gate.auc_floor=0.4",
    "gate.minimum_rows=100",
    "gate.calibration_ceiling=1",
    "gate.baseline_margin=-1",
)
QUICK = [word for setting in SETTINGS for word in ("--set", setting)]


def command(workspace: Path, data: Path, *more: str) -> list[str]:
    program = "from pipelines.cli import main; main()"
    return [sys.executable, "-c", program, "run", "--data", str(data), "--workspace", str(workspace), *QUICK, *more]


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW")} | {
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
    }


def walk(workspace: Path, data: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(workspace, data, *more), env=environment(), cwd=ROOT, text=True, capture_output=True, timeout=900
    )


def query(workspace: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(workspace / "mlflow.db")) as database:
        return database.execute(sql).fetchall()


def steps_started(events: Path) -> dict[str, float]:
    """When each step of a run began, in seconds since 1970."""
    whole = [line for line in events.read_text().splitlines(keepends=True) if line.endswith("\n")]
    found = [json.loads(line) for line in whole]
    return {
        str(event["name"]): float(event["time"])
        for event in found
        if event["kind"] == "step" and event["state"] == "started"
    }


def events_in(workspace: Path) -> set[Path]:
    """The events files of all its runs."""
    return set(workspace.glob("runs/*/events.jsonl"))


def wait_for_step(
    workspace: Path,
    name: str,
    alive: Callable[[], bool] = lambda: True,
    seconds: float = 900.0,
    earlier: Collection[Path] = (),
) -> Path:
    """Returns the events file of a new run once the step has begun in it; `earlier` are those of runs before it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for events in events_in(workspace).difference(earlier):
            if name in steps_started(events):
                return events
        assert alive(), f"the run ended before {name} began"
        time.sleep(0.05)
    raise AssertionError(f"{name} did not start")


def processes_of(events: Path) -> list[int]:
    """Every process, in whatever session, that was started for the run of this events file."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(events).encode() in environ.read_bytes():
                found.append(int(environ.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.05)
