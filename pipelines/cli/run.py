"""`mmctr run`: the whole pipeline on this machine."""

import json
import os
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from components.run_config import RunConfig
from components.settings import to_dict
from pipelines.cli.options import PolicyOption, PresetOption, SetOption
from pipelines.cli.screen import RunScreen
from pipelines.local import LocalRun
from pipelines.presets import resolve


def run(
    preset_name: PresetOption = "sample",
    data: Annotated[
        Path | None, typer.Option(help="A folder in the challenge's layout, instead of the versioned data.")
    ] = None,
    revision: Annotated[str, typer.Option(help="Commit, tag or branch whose data.dvc is used.")] = "HEAD",
    overrides: SetOption = None,
    policy: PolicyOption = None,
    workspace: Annotated[Path, typer.Option(help="Where caches, runs and the local registry live.")] = Path(".mmctr"),
) -> None:
    """Run the whole pipeline on this machine and say where the report is.

    Examples: `mmctr run` · `mmctr run --preset paper --data ~/MicroLens_1M_MMCTR` · `mmctr run --set train.seed=2`
    """
    config = resolve(preset_name, overrides, policy)
    if data is not None and not data.is_dir():
        raise ValueError(f"--data {data}: no such folder")
    if data is not None:
        from components.dataset.footers import check_footers  # loads pyarrow

        check_footers(data)  # a missing or mistyped column is refused in milliseconds, before anything starts
    execution = prepare(config, data, revision, workspace)
    started = time.monotonic()
    for sign in (signal.SIGINT, signal.SIGTERM):  # also where a shell had its background jobs ignore Ctrl-C
        signal.signal(sign, signal.default_int_handler)
    with RunScreen(execution.log) as screen:
        try:
            status = execution.execute(screen.show)
        except KeyboardInterrupt:
            screen.interrupted()
            raise SystemExit(130) from None
    screen.conclude(outcome(execution.folder), time.monotonic() - started)
    if status != 0:
        raise SystemExit(1)


def prepare(config: RunConfig, data: Path | None, revision: str, workspace: Path) -> LocalRun:
    workspace = workspace.resolve()
    folder = workspace / "runs" / datetime.now().strftime("%Y-%m-%d-%H%M%S-%f")
    arguments = {
        "config": json.dumps(to_dict(config)),
        "repository": str(Path.cwd()),
        "revision": revision,
        "folder": str(data.resolve()) if data else "",
        "workspace": str(workspace),
        "shards": list(range(config.embed.shards)),
    }
    tracking = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace}/mlflow.db"
    return LocalRun(folder, arguments, {"MLFLOW_TRACKING_URI": tracking})


def outcome(folder: Path) -> dict[str, Any]:
    """What a run left behind, by artifact name; kfp.local puts each under its task's folder."""
    found: dict[str, Any] = {}
    for name, pattern in (
        ("registration", "steps/*/register/registration/registration.json"),
        ("verdict", "steps/*/gate/decision/verdict.json"),
        ("metrics", "steps/*/evaluate/evaluation/metrics.json"),
    ):
        for path in folder.glob(pattern):
            found[name] = json.loads(path.read_text())
    for path in folder.glob("steps/*/gate/decision/report.html"):
        found["report"] = path
    return found
