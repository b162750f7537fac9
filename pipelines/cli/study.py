"""`mmctr study`: one question, a grid of rankers, several seeds each, and a report of what was found."""

from pathlib import Path
from typing import Annotated

import typer

from components.tracking.server import refuse_dead_server, tracking_uri
from pipelines.cli.options import DataOption, PresetOption, RevisionOption, SetOption, WorkspaceOption, check_data
from pipelines.cli.stopping import stoppable
from pipelines.presets import resolve
from pipelines.workspace import temporary_files_in, usable
from studies.grids import STUDIES, check_name, study


def study_command(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(STUDIES)}.")],
    data: DataOption = None,
    revision: RevisionOption = None,
    seeds: Annotated[int, typer.Option(help="How many trainings of each arm: seeds 1, 2, 3 ...")] = 3,
    preset_name: PresetOption = "study",
    overrides: SetOption = None,
    rows: Annotated[int | None, typer.Option(help="Train on so many rows, spread over all; scored rows stay.")] = None,
    arms: Annotated[str | None, typer.Option(help="Only these arms, by commas; the reference comes along.")] = None,
    jobs: Annotated[int, typer.Option(help="Trainings at a time, one core each.")] = 2,
    workspace: WorkspaceOption = Path(".mmctr"),
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="Where the report goes: WORKSPACE/studies/NAME-DATA.")
    ] = None,
) -> None:
    """Train a grid of rankers that differ in one thing each, and say what the difference is worth.

    What is finished is kept: the same command goes on where it was stopped, and at last only rewrites the report.

    Examples: `mmctr study mask` · `mmctr study ablation --data ~/MicroLens_1M_MMCTR --rows 100000` ·
    `mmctr study alignment --seeds 5 --arms "din raw linear,din l2 linear"`
    """
    base = resolve(preset_name, overrides)
    check_name(name)
    if name == "features" and revision is not None:
        raise ValueError(
            "--revision: this study reads the features.yaml of the checkout; check the revision out instead"
        )
    check_data(data, revision, workspace)
    chosen = study(name, base, _declared(data or Path("data"))) if name == "features" else study(name, base)
    if arms is not None:
        chosen = chosen.only([arm.strip() for arm in arms.split(",") if arm.strip()])
    refuse_dead_server(tracking_uri(workspace))
    from pipelines.cli.study_screen import StudyScreen
    from studies.engine import Order, StudyData  # loads torch
    from studies.step import run_study

    of = "versioned" if data is None else data.resolve().name
    source = StudyData(data, Path.cwd(), revision or "HEAD", rows)
    report = (out or workspace / "studies" / f"{name}-{of}").resolve()
    order = Order(chosen, base, tuple(overrides or ()), source, seeds, jobs, workspace.resolve(), report)
    with stoppable(), temporary_files_in(usable(workspace)), StudyScreen(jobs) as screen:
        try:
            outcome = run_study(order, screen.show)
        except KeyboardInterrupt:
            screen.interrupted()
            raise
    screen.conclude(order.out, outcome.failed)
    if outcome.failed:
        raise SystemExit(1)


def _declared(data: Path) -> list[str]:
    from components.schema.declared import read_schema  # loads numpy

    return [feature.name for feature in read_schema(data).features]
