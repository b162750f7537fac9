"""`mmctr schedule`: recurring runs, as files."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.errors import StepError
from pipelines.cli.cluster import EnvOption, ImagesOption

if TYPE_CHECKING:
    from pipelines.kubeflow import Kubeflow
    from pipelines.schedule.apply import Wanted
    from pipelines.schedule.spec import ScheduleSpec

app = typer.Typer(no_args_is_help=True, help="Recurring runs on a cluster, as the files of infra/schedules say.")
Files = Annotated[list[Path], typer.Argument(help="Schedule files: infra/schedules/*.yaml")]
Name = Annotated[str, typer.Argument(help="The schedule's name.")]


@app.command()
def explain(files: Files) -> None:
    """Check files and say when they run; asks no cluster.

    Example: `mmctr schedule explain infra/schedules/nightly.yaml`
    """
    for spec in _load(files):
        print(f"{spec.name}: {spec.clock().words()} ({spec.environment}, preset {spec.preset}); next")
        for time in spec.clock().times(datetime.now(UTC)):
            print(f"  {time:%a %Y-%m-%d %H:%M:%S} UTC")


@app.command()
def apply(
    files: Files,
    images: ImagesOption = None,
    prune: Annotated[bool, typer.Option("--prune", help="Delete mmctr's schedules that no file names.")] = False,
) -> None:
    """Make the cluster's schedules what the files say; doing it twice changes nothing.

    Example: `mmctr schedule apply infra/schedules/*.yaml --images dist/images.json`
    """
    from pipelines.schedule import apply as work

    specs = _load(files)
    for wanted, kubeflow in _made(specs, images, work.prepare):
        changes = work.apply(kubeflow, wanted)
        print(f"{wanted.spec.name}: {'as it should be' if not changes else 'made anew'}")
        _print_changes(changes)
        print(f"  {wanted.spec.clock().words()}; next {_times(wanted.spec)}")
        if any(run.status == "DISABLED" for run in work.ours(kubeflow, wanted.experiment_id, wanted.spec.name)):
            print(f"  paused by hand: mmctr schedule resume {wanted.spec.name} --env {wanted.spec.environment}")
    if prune:
        for environment in sorted({spec.environment for spec in specs}):
            kubeflow, experiment_id = _connect(environment)
            extra = [r for r in work.ours(kubeflow, experiment_id) if r.display_name not in {s.name for s in specs}]
            for run in extra:
                print(f"{run.display_name}: deleted, no file names it")
            work.remove(kubeflow, extra)


@app.command()
def diff(files: Files, images: ImagesOption = None) -> None:
    """Say what `apply` would change; exit 1 if it would change anything.

    Example: `mmctr schedule diff infra/schedules/*.yaml --images dist/images.json`
    """
    from pipelines.schedule import apply as work

    different = False
    for wanted, kubeflow in _made(_load(files), images, work.foresee):
        changes = work.difference(wanted, work.ours(kubeflow, wanted.experiment_id, wanted.spec.name))
        print(f"{wanted.spec.name}: {'as it should be' if not changes else 'differs'}")
        _print_changes(changes)
        different = different or bool(changes)
    if different:
        raise SystemExit(1)


@app.command("list")
def list_schedules(env: EnvOption = "dev") -> None:
    """List the schedules on the cluster, with their next time.

    Example: `mmctr schedule list --env prod`
    """
    from pipelines.schedule import apply as work

    kubeflow, experiment_id = _connect(env)
    runs = work.ours(kubeflow, experiment_id)
    if not runs:
        print(f"no schedules of mmctr in {kubeflow.service.namespace}")
    for run in runs:
        print(f"{run.display_name:<20} {_when(run)}")


@app.command()
def pause(name: Name, env: EnvOption = "dev") -> None:
    """Stop a schedule from starting runs; it stays paused through `apply`, until `resume`.

    Example: `mmctr schedule pause nightly --env prod`
    """
    _each(name, env, lambda kubeflow, run: kubeflow.enable_recurring_run(run.recurring_run_id, False), "paused")


@app.command()
def resume(name: Name, env: EnvOption = "dev") -> None:
    """Let a paused schedule start runs again.

    Example: `mmctr schedule resume nightly --env prod`
    """
    _each(name, env, lambda kubeflow, run: kubeflow.enable_recurring_run(run.recurring_run_id, True), "resumed")


@app.command()
def delete(name: Name, env: EnvOption = "dev") -> None:
    """Delete a schedule; runs that it started are untouched.

    Example: `mmctr schedule delete nightly --env prod`
    """
    _each(name, env, lambda kubeflow, run: kubeflow.delete_recurring_run(run.recurring_run_id), "deleted")


def _load(files: list[Path]) -> "list[ScheduleSpec]":
    from pipelines.schedule.spec import load_schedules

    return load_schedules(files)


def _made(
    specs: "list[ScheduleSpec]", images: Path | None, make: "Callable[..., Wanted]"
) -> "Iterator[tuple[Wanted, Kubeflow]]":
    from pipelines.environment import load_environment
    from pipelines.kubeflow import Kubeflow
    from pipelines.training import training_pipeline

    for spec in specs:
        environment = load_environment(spec.environment, images=images)
        kubeflow = Kubeflow(environment.service)
        yield make(kubeflow, environment, training_pipeline, spec), kubeflow


def _connect(env: str) -> "tuple[Kubeflow, str]":
    from pipelines.environment import load_environment
    from pipelines.kubeflow import Kubeflow

    kubeflow = Kubeflow(load_environment(env).service)
    experiment = kubeflow.find_experiment()
    return kubeflow, str(experiment.experiment_id) if experiment else ""


def _each(name: str, env: str, act: "Callable[[Kubeflow, Any], None]", done: str) -> None:
    from pipelines.schedule import apply as work

    kubeflow, experiment_id = _connect(env)
    runs = work.ours(kubeflow, experiment_id, name)
    if not runs:
        there = sorted({run.display_name for run in work.ours(kubeflow, experiment_id)})
        raise StepError(f"no schedule {name!r} in {kubeflow.service.namespace}; there: {', '.join(there) or 'none'}")
    for run in runs:
        act(kubeflow, run)
    print(f"{name}: {done}")


def _when(run: Any) -> str:
    from pipelines.schedule.cron import Cron

    cron = Cron(run.trigger.cron_schedule.cron)
    if run.status == "DISABLED":
        return f"paused ({cron.words()})"
    return f"{cron.words()}; next {cron.times(datetime.now(UTC), 1)[0]:%a %Y-%m-%d %H:%M:%S} UTC"


def _times(spec: "ScheduleSpec") -> str:
    return ", ".join(f"{time:%a %d %b %H:%M}" for time in spec.clock().times(datetime.now(UTC)))


def _print_changes(changes: list[str]) -> None:
    for change in changes:
        print(f"  {change}")
