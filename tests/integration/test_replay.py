"""`mmctr replay` as a person uses it: run, interrupted, run again. It registers nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.dataset.sample import DaysSpec, SampleSpec, write_days
from components.storage.files import read_json
from components.tracking.models import models
from components.tracking.server import connect, tracking_uri

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
# One epoch on 1,700 rows learns next to nothing: here the command is tested, not the ranker.
QUICK = ("train.max_epochs=1", "evaluate.bootstrap_samples=100", "gate.minimum_rows=10", "gate.auc_floor=0.0")
PASSING = (
    "gate.baseline_margin=-1.0",
    "gate.calibration_ceiling=1.0",
    "validate.min_label_signal=0",
    "validate.min_level_agreement=0.0",
)
ENDED = 300  # seconds after which something must have gone wrong


def command(workspace: Path, data: Path) -> "subprocess.Popen[str]":
    program = "from pipelines.cli import main; main()"
    settings = [word for setting in (*QUICK, *PASSING) for word in ("--set", setting)]
    where = ["--data", str(data), "--workspace", str(workspace), "--nights", "2", "--policies", "cold nightly"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "OMP"))}
    environment = kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "MLFLOW_DISABLE_TELEMETRY": "true"}
    words = [sys.executable, "-c", program, "replay", *where, *settings]
    return subprocess.Popen(
        words, env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def nights(workspace: Path) -> dict[str, int]:
    """The finished nights, and when each was written."""
    found = (workspace / "cache" / "replay" / "cells").glob("[!.]*/cell.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in found}


def test_interrupted_after_a_night_it_goes_on_from_there(tmp_path: Path) -> None:
    data, workspace = tmp_path / "data", tmp_path / "workspace"
    spec = DaysSpec(days=10, rows_a_day=240, broken_feed=False)
    write_days(data, SampleSpec(items=60, content="item_info"), spec)
    first = command(workspace, data)
    deadline = time.monotonic() + ENDED
    while not nights(workspace) and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    first.send_signal(signal.SIGINT)
    told, _ = first.communicate(timeout=ENDED)
    assert first.returncode == 130, told
    assert "the same command goes on from there" in told
    done = nights(workspace)
    assert done

    second = command(workspace, data)
    told, _ = second.communicate(timeout=ENDED)
    assert second.returncode == 0, told
    assert nights(workspace).items() >= done.items()
    results = read_json(workspace / "replays" / "data" / "results.json")
    one, two = results["policies"][0]["nights"]
    assert one["promoted"]
    assert two["serves_from"] in (0, 1), "whatever the gate said of the second candidate"
    assert "Use “cold nightly”" in told
    assert "What a night of retraining is worth" in (workspace / "replays" / "data" / "report.html").read_text()

    server = connect(tracking_uri(workspace))
    (experiment,) = [e for e in server.call("search_experiments") if e.name == "mmctr"]
    runs = server.call("search_runs", [experiment.experiment_id])
    tags = [run.data.tags for run in runs]
    assert [tag["mmctr.promoted_by"] for tag in tags if "mmctr.policy" in tag] == ["mmctr replay"]
    assert [tag["mmctr.policies"] for tag in tags if "mmctr.replay" in tag] == ["cold nightly"]
    assert models("mmctr", server).versions() == []
