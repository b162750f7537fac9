"""Calls the Kubeflow Pipelines API so that a lost request or answer does no harm.

A read is simply tried again. A creation can't be: a request whose answer was lost may have been carried out, and the
API knows no idempotency key. So every creation looks for its own result first, by a name that is unique, and again
after each try: `once`. If two were created nevertheless, the callers keep the oldest.
"""

import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import kfp_server_api
import urllib3
from kfp.client import Client
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

from components.errors import StepError
from components.network import refuse_dead
from pipelines.environment import Service

TOKEN_FILE_VARIABLE = "MMCTR_KFP_TOKEN_FILE"  # of a bearer token for the API, where it wants one
PAGE = 100
Answer = TypeVar("Answer")


class LostError(Exception):
    """No usable answer came: the request was perhaps carried out, perhaps not."""


class RefusedError(StepError):
    """The server understood the request and will not do it; trying again changes nothing."""


@dataclass
class Kubeflow:
    """What mmctr needs of the API, in one namespace."""

    service: Service
    tries: int = 5
    wait: Callable[[float], None] = time.sleep
    client: Any = field(init=False)

    def __post_init__(self) -> None:
        remedy = "forward it, or mend service.host of the environment; see `mmctr doctor --env`"
        refuse_dead(self.service.host, "Kubeflow Pipelines", remedy)
        # The file is read again for every request: Kubernetes replaces a projected token long before it ends.
        file = os.environ.get(TOKEN_FILE_VARIABLE)
        if file and not Path(file).is_file():
            raise StepError(
                f"{TOKEN_FILE_VARIABLE} = {file!r}: no such file; docs/how-to/kubeflow.md says how to make it"
            )
        credentials = ServiceAccountTokenVolumeCredentials(file) if file else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # kfp announces which servers it works with
            self.client = Client(host=self.service.host, namespace=self.service.namespace, credentials=credentials)
        self._bound_requests()

    def _bound_requests(self) -> None:
        """kfp sets no time limit: a server that hangs would hang the caller for ever."""
        rest = self.client._run_api.api_client.rest_client  # one for all of the client's APIs
        request = rest.request

        def bounded(*arguments: Any, **options: Any) -> Any:
            options["_request_timeout"] = options.get("_request_timeout") or self.service.request_seconds
            return request(*arguments, **options)

        rest.request = bounded

    def link(self, kind: str, identity: str) -> str:
        return f"{(self.service.public_url or self.service.host).rstrip('/')}/#/{kind}/details/{identity}"

    def multi_user(self) -> bool:
        """Which kind of installation answers."""
        return bool(self.call("reach the API", self.client._healthz_api.healthz_service_get_healthz).multi_user)

    def may_list(self) -> None:
        """Refused when the account has no place in the namespace."""
        api, namespace = self.client._experiment_api, self.service.namespace
        self.call("list experiments", lambda: api.experiment_service_list_experiments(namespace=namespace, page_size=1))

    # One request, and requests that may be lost

    def call(self, what: str, request: Callable[[], Answer]) -> Answer:
        """One request; `LostError` when its fate is unknown, `RefusedError` when the server said no."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of what urllib3 will drop one day
                return request()
        except kfp_server_api.ApiException as error:
            status = error.status or 0
            if status >= 500 or status in (0, 408, 429):
                raise LostError(f"{what}: HTTP {status} {error.reason}") from None
            raise RefusedError(
                f"Kubeflow Pipelines at {self.service.host} refused to {what}: {_message(error)}"
            ) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise LostError(f"{what}: {type(error).__name__}") from None

    def read(self, what: str, request: Callable[[], Answer]) -> Answer:
        """A request that changes nothing, or that may well be carried out twice."""
        for attempt in range(self.tries):
            try:
                return self.call(what, request)
            except LostError as error:
                last = error
                self._back_off(attempt)
        raise StepError(
            f"Kubeflow Pipelines at {self.service.host} gave no answer in {self.tries} tries ({last}); "
            "see `mmctr doctor --env`"
        )

    def once(self, what: str, find: Callable[[], Answer | None], create: Callable[[], Answer]) -> Answer:
        """Creates what `find` does not see. A lost creation is looked for before it is tried again."""
        for attempt in range(self.tries):
            found = self.read(f"look before trying to {what}", find)
            if found is not None:
                return found
            try:
                return self.call(what, create)
            except LostError as error:
                last = error
                self._back_off(attempt)  # also gives a slow server time to finish what it began
        found = self.read(f"look after trying to {what}", find)
        if found is not None:
            return found
        raise StepError(f"could not {what} at {self.service.host} in {self.tries} tries ({last})")

    def _back_off(self, attempt: int) -> None:
        self.wait(min(2.0**attempt, 30.0))

    # Things of the API

    def find_experiment(self) -> Any:
        """The environment's experiment, if it was made already."""
        name, listing = self.service.experiment, self.client._experiment_api.experiment_service_list_experiments
        found = self.read(
            "look for the experiment", lambda: listing(filter=_named(name), namespace=self.service.namespace)
        ).experiments
        return found[0] if found else None

    def ensure_experiment(self) -> str:
        """The id of the environment's experiment."""
        name, api = self.service.experiment, self.client._experiment_api
        body = kfp_server_api.V2beta1Experiment(display_name=name, namespace=self.service.namespace)
        create = lambda: api.experiment_service_create_experiment(experiment=body)  # noqa: E731
        return str(self.once(f"create the experiment {name}", self.find_experiment, create).experiment_id)

    def find_pipeline(self, name: str) -> Any:
        listing = self.client._pipelines_api.pipeline_service_list_pipelines
        found = self.read(
            "look for the pipeline", lambda: listing(filter=_named(name), namespace=self.service.namespace)
        ).pipelines
        return found[0] if found else None

    def ensure_version(self, pipeline: str, version: str, text: str) -> tuple[str, str, bool]:
        """The ids of a pipeline and its version, and whether it is new; versions are named by content."""
        api, uploads = self.client._pipelines_api, self.client._upload_api
        # An empty pipeline: its first upload would be a version with the pipeline's name.
        body = kfp_server_api.V2beta1Pipeline(display_name=pipeline, name=pipeline, namespace=self.service.namespace)
        create = lambda: api.pipeline_service_create_pipeline(pipeline=body)  # noqa: E731
        find = lambda: self.find_pipeline(pipeline)  # noqa: E731
        pipeline_id = str(self.once(f"create the pipeline {pipeline}", find, create).pipeline_id)
        before = self.find_version(pipeline_id, version)
        if before is not None:
            return pipeline_id, str(before.pipeline_version_id), False
        with _yaml_file(text) as path:
            upload_version = lambda: uploads.upload_pipeline_version(path, name=version, pipelineid=pipeline_id)  # noqa: E731
            made = self.once(
                f"upload version {version}", lambda: self.find_version(pipeline_id, version), upload_version
            )
        return pipeline_id, str(made.pipeline_version_id), True

    def find_version(self, pipeline_id: str, version: str) -> Any:
        listing = self.client._pipelines_api.pipeline_service_list_pipeline_versions
        pages = self._pages(
            "list versions",
            lambda token: listing(pipeline_id, page_token=token, page_size=PAGE, sort_by="created_at desc"),
            "pipeline_versions",
        )
        return next((v for v in pages if version in (v.name, v.display_name)), None)

    def runs_named(self, experiment_id: str, name: str) -> list[Any]:
        """The runs of that name, oldest first."""
        listing = self.client._run_api.run_service_list_runs
        pages = self._pages(
            "list runs",
            lambda token: listing(experiment_id=experiment_id, filter=_named(name), page_token=token, page_size=PAGE),
            "runs",
        )
        return sorted(pages, key=lambda run: (run.created_at, run.run_id))

    def create_run(self, body: kfp_server_api.V2beta1Run) -> Any:
        return self.client._run_api.run_service_create_run(run=body)

    def get_run(self, run_id: str) -> Any:
        return self.read(f"read run {run_id}", lambda: self.client._run_api.run_service_get_run(run_id=run_id))

    def terminate_run(self, run_id: str) -> None:
        terminate = self.client._run_api.run_service_terminate_run
        self.read(f"terminate run {run_id}", lambda: terminate(run_id=run_id))

    def recurring_runs(self, experiment_id: str) -> list[Any]:
        """All of the experiment, oldest first."""
        listing = self.client._recurring_run_api.recurring_run_service_list_recurring_runs
        pages = self._pages(
            "list schedules",
            lambda token: listing(experiment_id=experiment_id, page_token=token, page_size=PAGE),
            "recurring_runs",
        )
        return sorted(pages, key=lambda run: (run.created_at, run.recurring_run_id))

    def create_recurring_run(self, body: kfp_server_api.V2beta1RecurringRun) -> Any:
        return self.client._recurring_run_api.recurring_run_service_create_recurring_run(recurring_run=body)

    def delete_recurring_run(self, identity: str) -> None:
        """If the run is not there, that is a success: an earlier request may have deleted it."""
        delete = self.client._recurring_run_api.recurring_run_service_delete_recurring_run
        self._unless_gone(f"delete schedule {identity}", lambda: delete(recurring_run_id=identity))

    def enable_recurring_run(self, identity: str, enabled: bool) -> None:
        api = self.client._recurring_run_api
        switch = (
            api.recurring_run_service_enable_recurring_run
            if enabled
            else api.recurring_run_service_disable_recurring_run
        )
        what = f"{'resume' if enabled else 'pause'} schedule {identity}"
        self.read(what, lambda: switch(recurring_run_id=identity))

    def _unless_gone(self, what: str, request: Callable[[], Any]) -> None:
        def gone_is_fine() -> None:
            try:
                request()
            except kfp_server_api.ApiException as error:
                if error.status != 404:
                    raise

        self.read(what, gone_is_fine)

    def _pages(self, what: str, page: Callable[[str], Any], items: str) -> Iterator[Any]:
        token = ""
        while True:
            answer = self.read(what, lambda token=token: page(token))  # type: ignore[misc]
            yield from getattr(answer, items) or []
            token = answer.next_page_token or ""
            if not token:
                return


def _named(name: str) -> str:
    predicate = {"operation": "EQUALS", "key": "display_name", "string_value": name}
    return json.dumps({"predicates": [predicate]})


def _message(error: kfp_server_api.ApiException) -> str:
    """The server's own words, out of its google.rpc.Status."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"HTTP {error.status} {error.reason}"


@contextmanager
def _yaml_file(text: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="mmctr-") as folder:
        path = Path(folder) / "pipeline.yaml"  # the server tells formats apart by this suffix
        path.write_text(text)
        yield str(path)
