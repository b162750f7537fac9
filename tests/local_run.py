"""`mmctr run` in processes of its own, on a small data set, as a user starts it."""

import os
import sqlite3
import subprocess
import sys
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
