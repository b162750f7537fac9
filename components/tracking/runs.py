"""One MLflow run for one pipeline run, whatever step asks for it and how often it is asked.

The run is found by its tag `mmctr.pipeline_run`; `MLFLOW_RUN_ID`, which a Kubeflow backend injects, goes before it.
Everything written is written once: a step that was killed and runs again adds what is missing.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from components.errors import StepError
from components.tracking.server import AlreadyThereError, Server, connect

Status = Literal["FINISHED", "FAILED", "KILLED"]
PIPELINE_RUN = "mmctr.pipeline_run"
RUN_ID_VARIABLE = "MLFLOW_RUN_ID"
_BATCH = 100  # parameters and tags a request


@dataclass(frozen=True)
class TrackedRun:
    server: Server
    run_id: str
    experiment_id: str
    _steps: dict[str, set[int]] = field(default_factory=dict, repr=False)  # metric -> steps that the server has

    def log_config(self, config: Mapping[str, Any]) -> None:
        """Every field of a resolved config as a parameter: `train.batch_size`."""
        from mlflow.entities import Param

        params = [Param(name, text) for name, text in flatten(config)]
        for start in range(0, len(params), _BATCH):
            self.server.call("log_batch", self.run_id, params=params[start : start + _BATCH])

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """A step that the server has is left as it is: resumed training repeats what it had logged before the kill."""
        from mlflow.entities import Metric

        new = {name: value for name, value in values.items() if step not in self._logged(name)}
        now = int(time.time() * 1000)
        if new:
            metrics = [Metric(name, float(value), now, step) for name, value in new.items()]
            self.server.call("log_batch", self.run_id, metrics=metrics)
        for name in new:
            self._steps[name].add(step)

    def log_artifact(self, path: Path, folder: str = "") -> None:
        method = "log_artifacts" if path.is_dir() else "log_artifact"
        self.server.call(method, self.run_id, str(path), folder or None)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self.server.call("log_batch", self.run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def url(self) -> str:
        """Where a person looks at it; for a SQLite file, the run's id."""
        if self.server.uri.startswith("http"):
            return f"{self.server.uri.rstrip('/')}/#/experiments/{self.experiment_id}/runs/{self.run_id}"
        return self.run_id

    def _logged(self, name: str) -> set[int]:
        if name not in self._steps:
            history = self.server.call("get_metric_history", self.run_id, name)
            self._steps[name] = {metric.step for metric in history}
        return self._steps[name]


def run_for(pipeline_run: str, experiment: str, server: Server | None = None) -> TrackedRun:
    """The run of `pipeline_run`, made if there is none."""
    if not pipeline_run or "'" in pipeline_run:
        raise StepError(f"pipeline run {pipeline_run!r}: must be a name without quotes, to be found again by it")
    server = server or connect()
    if run_id := os.environ.get(RUN_ID_VARIABLE):
        run = server.call("get_run", run_id)
        if run.data.tags.get(PIPELINE_RUN) != pipeline_run:
            server.call("set_tag", run_id, PIPELINE_RUN, pipeline_run)
        return TrackedRun(server, run_id, run.info.experiment_id)
    experiment_id = _experiment(server, experiment)
    run = _find(server, [experiment_id], pipeline_run) or _create(server, experiment_id, pipeline_run)
    return TrackedRun(server, run.info.run_id, experiment_id)


def finish(pipeline_run: str, status: Status, server: Server | None = None) -> str | None:
    """Closes the run of `pipeline_run` and returns its id; None when no step had opened one.

    A run that the backend injected is the backend's to close.
    """
    server = server or connect()
    if run_id := os.environ.get(RUN_ID_VARIABLE):
        return run_id
    experiments = [e.experiment_id for e in server.call("search_experiments")]
    run = _find(server, experiments, pipeline_run) if experiments else None
    if run is None:
        return None
    server.call("set_terminated", run.info.run_id, status)
    return str(run.info.run_id)


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value)


def _experiment(server: Server, name: str) -> str:
    found = server.call("get_experiment_by_name", name)
    if found is None:
        try:
            return str(server.call("create_experiment", name, server.artifacts_root(name)))
        except AlreadyThereError:  # another step was faster
            found = server.call("get_experiment_by_name", name)
    if found.lifecycle_stage == "deleted":
        raise StepError(
            f"the MLflow experiment {name!r} was deleted: restore it, or run with another --set experiment="
        )
    return str(found.experiment_id)


def _find(server: Server, experiments: list[str], pipeline_run: str) -> Any:
    """The oldest run of that name: when two steps made one each, all steps agree on which one counts."""
    named = f"tags.`{PIPELINE_RUN}` = '{pipeline_run}'"
    found = server.call("search_runs", experiments, named, max_results=10)
    return min(found, key=lambda run: (run.info.start_time, run.info.run_id), default=None)


def _create(server: Server, experiment_id: str, pipeline_run: str) -> Any:
    """Makes the run, and gives way if another step made an older one meanwhile."""
    made = server.call("create_run", experiment_id, tags={PIPELINE_RUN: pipeline_run}, run_name=pipeline_run)
    first = _find(server, [experiment_id], pipeline_run)
    if first is None or first.info.run_id == made.info.run_id:
        return made
    server.call("delete_run", made.info.run_id)
    return first
