"""One MLflow run for one pipeline run, whichever step asks for it, and however often.

The run is found by its tag `mmctr.pipeline_run`. Where Kubeflow's MLflow plugin is on, it has made the run: it gives
each step a run of its own in `MLFLOW_RUN_ID`, nested below the one of the pipeline run, which is the one that counts.
Everything written is written once: a step that was killed and runs again adds what is missing.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from components import network
from components.errors import StepError, redacted
from components.tracking.server import AlreadyThereError, NotThereError, RegistryRefusedError, Server, connect
from components.tracking.tags import GATE, MODEL_VERSION, REGISTERED_NAME, STARTED_FROM

PIPELINE_RUN = "mmctr.pipeline_run"
REPORT = "gate/report.html"  # among the files of a run: what a person decides from
PARENT = "mlflow.parentRunId"  # MLflow shows a run that has it below its parent
PUBLIC_URL_VARIABLE = "MMCTR_MLFLOW_PUBLIC_URL"  # where people open MLflow, when steps reach it by another name
RUN_ID_VARIABLE = "MLFLOW_RUN_ID"
_BATCH = 100  # parameters and tags a request


@dataclass(frozen=True)
class TrackedRun:
    server: Server
    run_id: str
    experiment_id: str
    injected: bool = False  # made by the backend
    _points: dict[str, dict[int, float]] = field(default_factory=dict, repr=False)  # metric -> step -> value

    def log_params(self, values: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(name, v if isinstance(v, str) else json.dumps(v)) for name, v in values.items()]
        for start in range(0, len(params), _BATCH):
            self.server.call("log_batch", self.run_id, params=params[start : start + _BATCH])

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Leaves out what the server has: a training that continues after a kill repeats some steps that it
        had logged.
        """
        from mlflow.entities import Metric

        new = {name: float(value) for name, value in values.items() if self._known(name).get(step) != value}
        if not new:
            return
        now = int(time.time() * 1000)
        self.server.call("log_batch", self.run_id, metrics=[Metric(name, v, now, step) for name, v in new.items()])
        for name, value in new.items():
            self._points[name][step] = value

    def log_curve(self, step: int, values: Mapping[str, float]) -> None:
        """`log_metrics` in the form that training calls back."""
        self.log_metrics(values, step)

    def log_files(self, files: Iterable[Path], folder: str = "") -> None:
        for path in files:
            self.server.call("log_artifact", self.run_id, str(path), folder or None)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self.server.call("log_batch", self.run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def tags(self) -> dict[str, str]:
        return dict(self.server.call("get_run", self.run_id).data.tags)

    def finish(self, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
        """Closes the run, unless the backend made it: then the backend closes it."""
        if not self.injected:
            self.server.call("set_terminated", self.run_id, status)

    def url(self) -> str:
        """Where a person looks at it; a SQLite file has no address."""
        base = os.environ.get(PUBLIC_URL_VARIABLE) or redacted(self.server.uri)
        if base.startswith("http"):
            return f"{base.rstrip('/')}/#/experiments/{self.experiment_id}/runs/{self.run_id}"
        return f"MLflow run {self.run_id} in {base}"

    def address_of(self, file: str) -> str | None:
        """Where a person opens a file of the run: its page on a server, or else its path; None if it is not there."""
        folder = file.rpartition("/")[0]
        if file not in {found.path for found in self.server.call("list_artifacts", self.run_id, folder)}:
            return None
        if self.url().startswith("http"):
            return f"{self.url()}/artifacts/{file}"
        return f"{self.server.call('get_run', self.run_id).info.artifact_uri.removeprefix('file://')}/{file}"

    def _known(self, name: str) -> dict[int, float]:
        if name not in self._points:
            history = self.server.call("get_metric_history", self.run_id, name)
            self._points[name] = {metric.step: metric.value for metric in history}
        return self._points[name]


def run_for(pipeline_run: str, experiment: str, server: Server | None = None, shown_as: str = "") -> TrackedRun:
    """The run of `pipeline_run`, made if there is none; MLflow's pages call a new one `shown_as`."""
    _refuse_quotes(pipeline_run)
    server = server or connect(patience=network.STEP_PATIENCE)
    if run_id := os.environ.get(RUN_ID_VARIABLE):
        run = _root(server, run_id)
        if run.data.tags.get(PIPELINE_RUN) != pipeline_run:
            server.call("set_tag", run.info.run_id, PIPELINE_RUN, pipeline_run)
        return TrackedRun(server, run.info.run_id, run.info.experiment_id, injected=True)
    experiment_id = _experiment(server, experiment)
    run = _find(server, [experiment_id], pipeline_run) or _create(server, experiment_id, pipeline_run, shown_as)
    return TrackedRun(server, run.info.run_id, experiment_id)


def _refuse_quotes(pipeline_run: str) -> None:
    if not pipeline_run or "'" in pipeline_run:
        raise StepError(f"pipeline run {pipeline_run!r}: must be a name without quotes, to be found again by it")


def run_of(server: Server, run_id: str) -> TrackedRun | None:
    """The run with this id; None if it was removed, or if this user may not read it."""
    try:
        return TrackedRun(server, run_id, server.call("get_run", run_id).info.experiment_id)
    except (NotThereError, RegistryRefusedError):
        return None


def refused_starts(server: Server, name: str, number: int, run_id: str) -> int:
    """How many candidates that started from this version the gate refused. `run_id` is the run that made the version,
    whose experiment is asked.
    """
    made_by = run_of(server, run_id) if run_id else None
    if made_by is None:
        return 0
    asked = f"tags.`{STARTED_FROM}` = '{name}/{number}' and tags.`{GATE}` = 'fail'"
    return len(server.call("search_runs", [made_by.experiment_id], asked, max_results=100))


def version_of(server: Server, pipeline_run: str, name: str) -> int:
    """The version of the registered model `name` that a pipeline run made, or found made already."""
    _refuse_quotes(pipeline_run)
    experiments = [found.experiment_id for found in server.call("search_experiments")]
    run = _find(server, experiments, pipeline_run)
    if run is None:
        raise StepError(f"MLflow knows no pipeline run {pipeline_run!r}; `mmctr review list` shows the versions")
    number, registered = run.data.tags.get(MODEL_VERSION), run.data.tags.get(REGISTERED_NAME, name)
    if number is None:
        raise StepError(f"pipeline run {pipeline_run} registered no version: it did not pass the gate, or did not end")
    if registered != name:
        raise StepError(f"pipeline run {pipeline_run} registered version {number} of {registered}: --name {registered}")
    return int(number)


def _root(server: Server, run_id: str) -> Any:
    """The run above all that `run_id` is nested in.

    Kubeflow Pipelines 2.17.0, backend/src/v2/common/plugins/mlflow/handler.go:49-78 and 136-143: the driver of each
    task makes a run with the tag mlflow.parentRunId and injects its id. Groups of steps nest further.
    """
    while True:
        run = server.call("get_run", run_id)
        if not (above := run.data.tags.get(PARENT)):
            return run
        run_id = above


def nested_run(parent: TrackedRun, name: str) -> TrackedRun:
    """The run `name` below `parent`, made if there is none. Its name must be one of a kind in the experiment."""
    if not name or "'" in name:
        raise StepError(f"nested run {name!r}: must be a name without quotes, to be found again by it")
    found = _find(parent.server, [parent.experiment_id], name)
    run = found or _create(parent.server, parent.experiment_id, name, name, {PARENT: parent.run_id})
    return TrackedRun(parent.server, run.info.run_id, parent.experiment_id)


def finished_below(parent: TrackedRun) -> set[str]:
    """The names of the finished runs below `parent`: one question instead of one a run."""
    below, token = f"tags.`{PARENT}` = '{parent.run_id}' and attributes.status = 'FINISHED'", None
    names: set[str] = set()
    while True:
        page = parent.server.call("search_runs", [parent.experiment_id], below, max_results=1000, page_token=token)
        names |= {run.data.tags[PIPELINE_RUN] for run in page}
        if not (token := page.token):
            return names


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


def _create(
    server: Server, experiment_id: str, pipeline_run: str, shown_as: str, more: Mapping[str, str] | None = None
) -> Any:
    """Makes the run, and gives way if another step made an older one meanwhile."""
    tags = {PIPELINE_RUN: pipeline_run, **(more or {})}
    made = server.call("create_run", experiment_id, tags=tags, run_name=shown_as or pipeline_run)
    first = _find(server, [experiment_id], pipeline_run)
    if first is None or first.info.run_id == made.info.run_id:
        return made
    server.call("delete_run", made.info.run_id)
    return first
