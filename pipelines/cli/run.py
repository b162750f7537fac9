"""`mmctr run`: the whole pipeline on this machine."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from components.run_config import RunConfig
from components.settings import to_dict
from components.tracking.server import URI_VARIABLE, refuse_dead_server, tracking_uri
from pipelines.cli.options import (
    DataOption,
    PolicyOption,
    PresetOption,
    RevisionOption,
    SetOption,
    WorkspaceOption,
    check_data,
)
from pipelines.cli.screen import RunScreen
from pipelines.cli.stopping import stoppable
from pipelines.local import LocalRun
from pipelines.presets import resolve
from pipelines.workspace import clear_up, usable

GATE_FAILED = 3  # exit status of a run that went through, and whose candidate did not pass the gate


def run(
    preset_name: PresetOption = "sample",
    data: DataOption = None,
    revision: RevisionOption = None,
    overrides: SetOption = None,
    policy: PolicyOption = None,
    workspace: WorkspaceOption = Path(".mmctr"),
) -> None:
    """Run the whole pipeline on this machine and say where the report is.

    Run it in a clone of the repository that holds data.dvc, or give it a folder with `--data`. Ctrl-C stops it; the
    same command then goes on from the last finished part.

    Examples: `mmctr run` · `mmctr run --preset paper --data ~/MicroLens_1M_MMCTR` · `mmctr run --set train.seed=2`

    Exit status: 0 a candidate passed the gate · 3 it did not pass, nothing is registered · 1 a step failed ·
    2 wrong use · 130 stopped by Ctrl-C.
    """
    config = resolve(preset_name, overrides, policy)
    check_data(data, revision, workspace)
    refuse_dead_server(tracking_uri(workspace))
    folder = usable(workspace)
    execution = prepare(config, data, revision or "HEAD", folder)
    started = time.monotonic()
    with stoppable(), RunScreen(execution.log, folder) as screen:
        for other in clear_up(folder):
            screen.say_another_is_at_work(other)
        try:
            status = execution.execute(screen.show)
        except KeyboardInterrupt:
            screen.interrupted()
            raise
    found = outcome(execution.folder)
    screen.conclude(found, time.monotonic() - started, status)
    if status != 0:
        raise SystemExit(1)
    if not found["verdict"]["passed"]:
        raise SystemExit(GATE_FAILED)


def prepare(config: RunConfig, data: Path | None, revision: str, workspace: Path) -> LocalRun:
    folder = workspace / "runs" / datetime.now().strftime("%Y-%m-%d-%H%M%S-%f")
    arguments = {
        "config": json.dumps(to_dict(config)),
        "repository": str(Path.cwd()),
        "revision": revision,
        "folder": str(data.resolve()) if data else "",
        "workspace": str(workspace),
        "shards": list(range(config.embed.shards)),
    }
    return LocalRun(folder, arguments, {URI_VARIABLE: tracking_uri(workspace)})


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
