"""Makes the cluster's recurring runs what the files say.

A recurring run can't be changed, only deleted and made again. The new one is made first and the old one deleted after
it, so that there is never none: killed in between, there are two, and the next `apply` deletes the older. Whoever
paused a schedule by hand keeps it paused: its replacement is paused too.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import kfp_server_api

from pipelines.compile import compile_pipeline
from pipelines.environment import Environment
from pipelines.kubeflow import Kubeflow
from pipelines.schedule.spec import ScheduleSpec
from pipelines.submit import parameters, version_name

MARK = "made by mmctr"  # begins the description of every recurring run that is ours to delete


@dataclass(frozen=True)
class Wanted:
    """A recurring run as the file, the environment and the current pipeline describe it."""

    spec: ScheduleSpec
    experiment_id: str
    pipeline_id: str
    version_id: str
    version: str
    parameters: dict[str, Any]
    service_account: str

    def fields(self) -> dict[str, Any]:
        """What is compared; the same names as `fields_of` reads from the server."""
        return {
            "cron": self.spec.cron,
            "version": self.version_id,
            "service_account": self.service_account,
            "concurrency": self.spec.concurrency,
            "catch_up": self.spec.catch_up,
            **{f"parameters.{name}": value for name, value in self.parameters.items()},
        }

    def body(self, enabled: bool) -> kfp_server_api.V2beta1RecurringRun:
        return kfp_server_api.V2beta1RecurringRun(
            display_name=self.spec.name,
            description=f"{MARK} · {self.spec.clock().words()} · pipeline version {self.version}",
            experiment_id=self.experiment_id,
            pipeline_version_reference=kfp_server_api.V2beta1PipelineVersionReference(
                pipeline_id=self.pipeline_id, pipeline_version_id=self.version_id
            ),
            runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=self.parameters),
            service_account=self.service_account,
            max_concurrency=str(self.spec.concurrency),
            no_catchup=not self.spec.catch_up,
            mode="ENABLE" if enabled else "DISABLE",
            trigger=kfp_server_api.V2beta1Trigger(
                cron_schedule=kfp_server_api.V2beta1CronSchedule(cron=self.spec.cron)
            ),
        )


def fields_of(run: Any) -> dict[str, Any]:
    reference, runtime = run.pipeline_version_reference, run.runtime_config
    cron = run.trigger.cron_schedule if run.trigger else None
    return {
        "cron": cron.cron if cron else None,
        "version": reference.pipeline_version_id if reference else None,
        "service_account": run.service_account,
        "concurrency": int(run.max_concurrency or 0),
        "catch_up": not run.no_catchup,
        **{f"parameters.{name}": value for name, value in ((runtime.parameters if runtime else None) or {}).items()},
    }


def prepare(kubeflow: Kubeflow, environment: Environment, pipeline: Any, spec: ScheduleSpec) -> Wanted:
    """Uploads the pipeline's version, unless it is there, and says what the recurring run must be."""
    text, name = compile_pipeline(pipeline, environment), pipeline.pipeline_spec.pipeline_info.name
    pipeline_id, version_id, _ = kubeflow.ensure_version(name, version_name(environment.name, text), text)
    return _wanted(environment, pipeline, spec, text, (kubeflow.ensure_experiment(), pipeline_id, version_id))


def foresee(kubeflow: Kubeflow, environment: Environment, pipeline: Any, spec: ScheduleSpec) -> Wanted:
    """The same without changing anything on the cluster; what is not there yet has no id."""
    text, name = compile_pipeline(pipeline, environment), pipeline.pipeline_spec.pipeline_info.name
    version, experiment, there = version_name(environment.name, text), kubeflow.find_experiment(), None
    found = kubeflow.find_pipeline(name)
    if found is not None:
        there = kubeflow.find_version(found.pipeline_id, version)
    ids = (
        experiment.experiment_id if experiment else "",
        found.pipeline_id if found else "",
        there.pipeline_version_id if there else f"{version}, not uploaded yet",
    )
    return _wanted(environment, pipeline, spec, text, ids)


def _wanted(
    environment: Environment, pipeline: Any, spec: ScheduleSpec, text: str, ids: tuple[str, str, str]
) -> Wanted:
    values = parameters(
        pipeline,
        environment,
        spec.config(),
        spec.revision,
        skip_unchanged=spec.skip_unchanged,
        retrain_above_drift=spec.retrain_above_drift,
    )
    return Wanted(spec, *ids, version_name(environment.name, text), values, environment.service.service_account)


def ours(kubeflow: Kubeflow, experiment_id: str, name: str | None = None) -> list[Any]:
    """The recurring runs that mmctr made, oldest first; none in an experiment that is not there yet."""
    return [
        run
        for run in (kubeflow.recurring_runs(experiment_id) if experiment_id else [])
        if (run.description or "").startswith(MARK) and name in (None, run.display_name)
    ]


def difference(wanted: Wanted, present: list[Any]) -> list[str]:
    """What `apply` would change, one line a field; empty when the schedule is as it should be."""
    if not present:
        return ["not on the cluster"]
    if any(fields_of(run) == wanted.fields() for run in present):
        return [f"{len(present) - 1} superseded copies"] if len(present) > 1 else []
    there, here = fields_of(present[-1]), wanted.fields()
    return [
        f"{name}: {_short(there.get(name))} -> {_short(here.get(name))}"
        for name in sorted({*there, *here})
        if there.get(name) != here.get(name)
    ]


def apply(kubeflow: Kubeflow, wanted: Wanted) -> list[str]:
    """Brings one schedule to what is wanted; returns what had to be changed."""
    present = ours(kubeflow, wanted.experiment_id, wanted.spec.name)
    changes = difference(wanted, present)
    if not changes:
        return []
    enabled = not present or present[-1].status != "DISABLED"

    def find() -> Any:
        runs = ours(kubeflow, wanted.experiment_id, wanted.spec.name)
        return next((run for run in runs if fields_of(run) == wanted.fields()), None)

    create: Callable[[], Any] = lambda: kubeflow.create_recurring_run(wanted.body(enabled))  # noqa: E731
    keep = kubeflow.once(f"create the schedule {wanted.spec.name}", find, create).recurring_run_id
    for run in ours(kubeflow, wanted.experiment_id, wanted.spec.name):
        if run.recurring_run_id != keep:
            kubeflow.delete_recurring_run(run.recurring_run_id)
    return changes


def remove(kubeflow: Kubeflow, runs: Iterable[Any]) -> int:
    count = 0
    for run in runs:
        kubeflow.delete_recurring_run(run.recurring_run_id)
        count += 1
    return count


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
