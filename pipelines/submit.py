"""One run on a cluster: upload this version of the pipeline, start it exactly once, follow it to its end."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import kfp_server_api

from components.errors import StepError
from components.run_config import RunConfig
from components.settings import to_dict
from pipelines.compile import compile_pipeline, parameters_of
from pipelines.environment import Environment
from pipelines.kubeflow import Kubeflow

ENDED = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")


@dataclass(frozen=True)
class Submission:
    run_id: str
    name: str
    link: str
    version: str
    new_version: bool
    new_run: bool  # false: a run of that name was there already, and this is it


def version_name(environment: str, text: str) -> str:
    """Names a pipeline version by its content: uploading the same twice makes one."""
    return f"{environment}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def parameters(
    pipeline: Any, environment: Environment, config: RunConfig, revision: str | None = None, **more: Any
) -> dict[str, Any]:
    """The parameters of a run, of which the pipeline must know every one."""
    source = environment.source
    if environment.training == "trainjob":
        config = replace(config, train=replace(config.train, launcher="trainjob"))
    values = {
        "config": json.dumps(to_dict(config), sort_keys=True),
        "repository": source.repository,
        "revision": revision or source.revision,
        "folder": "",  # only a laptop takes a folder as it is
        "workspace": source.workspace,
        "shards": list(range(config.embed.shards)),
        **more,
    }
    known = parameters_of(pipeline)
    unknown = sorted(set(values) - known)
    if unknown:
        raise StepError(f"the pipeline has no parameter {unknown[0]!r}; it has {', '.join(sorted(known))}")
    return values


def submit(
    kubeflow: Kubeflow, environment: Environment, pipeline: Any, values: dict[str, Any], name: str
) -> Submission:
    """Starts the run `name`, or finds it: the same name twice, or a lost answer, never makes two runs."""
    text = compile_pipeline(pipeline, environment)
    version = version_name(environment.name, text)
    pipeline_id, version_id, new_version = kubeflow.ensure_version(
        pipeline.pipeline_spec.pipeline_info.name, version, text
    )
    experiment_id = kubeflow.ensure_experiment()
    body = kfp_server_api.V2beta1Run(
        experiment_id=experiment_id,
        display_name=name,
        pipeline_version_reference=kfp_server_api.V2beta1PipelineVersionReference(
            pipeline_id=pipeline_id, pipeline_version_id=version_id
        ),
        runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=values),
        service_account=environment.service.service_account,
    )
    before = kubeflow.runs_named(experiment_id, name)
    if not before:
        kubeflow.once(
            f"start the run {name}",
            lambda: next(iter(kubeflow.runs_named(experiment_id, name)), None),
            lambda: kubeflow.create_run(body),
        )
    run = _only(kubeflow, experiment_id, name)
    link = kubeflow.link("runs", run.run_id)
    return Submission(run.run_id, name, link, version, new_version, new_run=not before)


def _only(kubeflow: Kubeflow, experiment_id: str, name: str) -> Any:
    """The oldest run of that name. A creation that was slow rather than lost may have made another: it is stopped."""
    first, *others = kubeflow.runs_named(experiment_id, name)
    for other in others:
        if other.state not in ENDED:
            kubeflow.terminate_run(other.run_id)
    return first


def follow(
    kubeflow: Kubeflow,
    run_id: str,
    show: Callable[[str, str], None],
    interval: float = 10.0,
    wait: Callable[[float], None] | None = None,
) -> str:
    """Tells each change of state, of the run and of its steps, as `show(step, state)`; returns the final state.

    It looks every second at first, when most mistakes show, and every `interval` seconds in the end.
    """
    seen: dict[str, str] = {}
    pause = 1.0
    while True:
        run = kubeflow.get_run(run_id)
        states = {str(task.display_name): str(task.state) for task in _tasks(run) if task.state}
        for step, state in {**states, "run": str(run.state)}.items():
            if seen.get(step) != state:
                seen[step] = state
                show(step, state)
        if run.state in ENDED:
            return str(run.state)
        (wait or time.sleep)(pause)
        pause = min(interval, pause * 1.1)


def failure_of(run: Any) -> str:
    """What the server says went wrong: of the run, and of each step that failed."""
    causes = [f"{task.display_name}: {task.error.message}" for task in _tasks(run) if task.error and task.error.message]
    if run.error and run.error.message:
        causes.append(str(run.error.message))
    return "; ".join(causes) or "no cause given"


def _tasks(run: Any) -> list[Any]:
    return (run.run_details.task_details if run.run_details else None) or []
