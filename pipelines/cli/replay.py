"""`mmctr replay`: what a night of retraining would have been worth, on the nights of the past."""

from pathlib import Path
from typing import Annotated

import typer

from components.tracking.server import refuse_dead_server, tracking_uri
from pipelines.cli.options import DataOption, PresetOption, RevisionOption, SetOption, WorkspaceOption, check_data
from pipelines.cli.stopping import stoppable
from pipelines.presets import resolve
from pipelines.workspace import temporary_files_in, usable
from studies.replay.policies import ALLOWED, DEFAULT, parse_policies


def replay(
    data: DataOption = None,
    revision: RevisionOption = None,
    policies: Annotated[str, typer.Option(help=f"By commas: {ALLOWED}.")] = DEFAULT,
    nights: Annotated[int, typer.Option(help="How many nights; the last one is a night before the data end.")] = 30,
    every: Annotated[int, typer.Option(help="Days from one night to the next. A week of nights is seven of them.")] = 1,
    window: Annotated[int, typer.Option(help="Train on the newest so many days; 0: on all that was known.")] = 0,
    preset_name: PresetOption = "sample",
    overrides: SetOption = None,
    jobs: Annotated[int, typer.Option(help="Policies at a time, one core each.")] = 2,
    workspace: WorkspaceOption = Path(".mmctr"),
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="Where the page goes: WORKSPACE/replays/DATA.")
    ] = None,
) -> None:
    """Replay the nights of a data set with time: what each policy of retraining would have served, and what it cost.

    Each night trains on what was known then, asks the gate, and serves the next day's rows. Nothing is registered. What
    is finished is kept: the same command goes on where it was stopped.

    Examples: `mmctr replay --data ~/clicks --nights 14` ·
    `mmctr replay --data ~/movielens-mmctr --every 5 --policies "never, cold nightly, drift 0.1"`
    """
    chosen = parse_policies(policies)
    config = resolve(preset_name, overrides)
    check_data(data, revision, workspace)
    refuse_dead_server(tracking_uri(workspace))
    from pipelines.cli.replay_screen import ReplayScreen
    from studies.engine import StudyData  # loads torch
    from studies.replay.night import NightPlan
    from studies.replay.step import ReplayOrder, run_replay

    of = "versioned" if data is None else data.resolve().name
    source = StudyData(data, Path.cwd(), revision or "HEAD")
    page = (out or workspace / "replays" / of).resolve()
    plan, changed = NightPlan(nights, every, window), tuple(overrides or ())
    order = ReplayOrder(chosen, plan, config, changed, source, jobs, workspace.resolve(), page)
    with stoppable(), temporary_files_in(usable(workspace)), ReplayScreen(jobs) as screen:
        try:
            results = run_replay(order, screen.show)
        except KeyboardInterrupt:
            screen.interrupted()
            raise
    screen.report(results, order.out)
    if results["failed"]:
        raise SystemExit(1)
