"""Training on a cluster: one Kubeflow TrainJob, whose pods see the same `work` folder as the step that submits it.

The TrainJob is named after the training, so that a step that is retried finds the job that it had submitted instead of
starting a second one. It belongs to the workflow of the step: Kubernetes removes it with the run. The
ClusterTrainingRuntime that `train.runtime` names says what the pods run, with how many processes, and how often a job
that lost a pod is restarted. This is the only module that imports the Kubeflow SDK.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from kubeflow.trainer import CustomTrainerContainer, KubernetesBackendConfig, TrainerClient
from kubeflow.trainer.constants import constants
from kubeflow.trainer.options import ActiveDeadlineSeconds, Labels, Name, TrainerCommand
from kubernetes.client import ApiException
from urllib3.exceptions import HTTPError

from components.errors import StepError
from components.process.children import Tail
from components.storage.files import read_json
from components.train.job import Job
from components.train.watch import OnMetrics, hand_on

COMPLETE, FAILED = "Complete", "Failed"
FIRST_NODE = "node-0"
LAST_LINES = 30  # of a pod's log, shown when no process gave a cause
LAST_CAUSES = 5
LOST = "lost the other processes"  # how a worker says it
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
CONFLICT = 409  # the API server has an object of that name
MINUTES_VARIABLE = "MMCTR_STEP_MINUTES"  # the step's time limit, see components/harness.py
POD_VARIABLE = "KFP_POD_NAME"  # set by Kubeflow Pipelines 2.17.0: backend/src/v2/compiler/argocompiler/common.go:43
TRIES = 12  # with the waits between them some five minutes
PATIENCE = 1.0
Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


def run_trainjob(
    job: Job, on_metrics: OnMetrics, backend: KubernetesBackendConfig | None = None, poll_seconds: float = 2.0
) -> None:
    """Submits the TrainJob (or takes up one that runs), streams its log, and waits. If this step is cancelled, it
    cancels the job.

    A reason that only a person can remove ends the job at once: restarting its pods would end in the same reason.
    """
    client = TrainerClient(backend_config=backend)
    (job.folder / "failure.json").unlink(missing_ok=True)
    name = f"mmctr-{job.key[:20]}"
    try:
        _submit(client, job, name)
        metrics = Tail(job.metrics)

        def needs_a_person() -> bool:
            hand_on(metrics, on_metrics)
            return (job.folder / "failure.json").is_file()

        status = _follow(client, name, needs_a_person, poll_seconds)
    except (SystemExit, KeyboardInterrupt):  # the first is what SIGTERM becomes in a step, see components/harness.py
        _log.warning("cancelled: deleting TrainJob %s; its last checkpoint stays in %s", name, job.folder)
        client.delete_job(name)
        raise
    if status not in (COMPLETE, FAILED):
        client.delete_job(name)
    if status != COMPLETE or not job.finished:
        _fail(client, job, name, status)


def _submit(client: TrainerClient, job: Job, name: str) -> None:
    command = ["python", "-m", "components.train.pod", "--job", str(job.folder)]
    # An empty image keeps the runtime's own.
    trainer = CustomTrainerContainer(image="", num_nodes=job.recipe.train.nodes)
    options = [Name(name), TrainerCommand(command)]
    if minutes := os.environ.get(MINUTES_VARIABLE):
        # Of the step, which waits in the queue too; the job's own clock starts when it leaves the queue.
        options.append(ActiveDeadlineSeconds(60 * int(minutes)))
    if job.recipe.train.queue:
        options.append(Labels({QUEUE_LABEL: job.recipe.train.queue}))
    for _ in range(2):
        try:
            client.train(runtime=job.recipe.train.runtime, trainer=trainer, options=options)
        except RuntimeError as error:  # the SDK wraps what the API server answered
            if getattr(error.__cause__, "status", None) != CONFLICT:
                raise StepError(f"TrainJob {name} could not be submitted: {_cause(error)}") from error
            status = _read(lambda: client.get_job(name).status)
            if status not in (COMPLETE, FAILED):
                _log.info("TrainJob %s is there already: following it", name)
                return
            # Also a completed job: this step has no results of it.
            _log.info("TrainJob %s is %s: deleting it and starting from its last checkpoint", name, status)
            client.delete_job(name)
            _wait_until_gone(client, name)
        else:
            _log.info("submitted TrainJob %s", name)
            _own(client, name)
            return


def _own(client: TrainerClient, name: str) -> None:
    """Gives the TrainJob the owner of this step's pod, the workflow. The SDK has no option for it, its client does."""
    pod = os.environ.get(POD_VARIABLE)
    if pod is None:  # not in a pod of Kubeflow Pipelines
        return
    backend: Any = client.backend
    found = _read(lambda: backend.core_api.read_namespaced_pod(pod, backend.namespace))
    owners = [
        {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid}
        for owner in found.metadata.owner_references or []
    ]
    patch = {"metadata": {"ownerReferences": owners}}
    kind = (constants.GROUP, constants.VERSION, backend.namespace, constants.TRAINJOB_PLURAL)
    _read(lambda: backend.custom_api.patch_namespaced_custom_object(*kind, name, patch))


def _read(request: Callable[[], Answer]) -> Answer:
    """A request that may be made twice, tried again for as long as an API server takes to be replaced."""
    for attempt in range(TRIES):
        try:
            return request()
        except (RuntimeError, TimeoutError, ApiException, HTTPError) as error:
            status = getattr(error.__cause__ or error, "status", None)
            if attempt == TRIES - 1 or (status is not None and 400 <= status < 500 and status not in (408, 429)):
                raise StepError(f"the cluster's API gave no usable answer: {_cause(error)}") from error
            _log.warning("the cluster's API did not answer (%s); asking again", _cause(error)[:200])
            time.sleep(min(2.0**attempt, 30.0) * PATIENCE)
    raise AssertionError("unreachable")


def _wait_until_gone(client: TrainerClient, name: str, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if all(found.name != name for found in _read(client.list_jobs)):
            return
        time.sleep(1.0)
    raise StepError(
        f"TrainJob {name} is still being deleted after {seconds:.0f} s: look at its finalizers, then run again"
    )


def _follow(client: TrainerClient, name: str, needs_a_person: Callable[[], bool], poll_seconds: float) -> str:
    """The job's last status; followed to its end, or until a person is needed."""
    reader: threading.Thread | None = None
    status = ""
    while True:
        found = _read(lambda: client.get_job(name))
        if found.status != status:
            status = found.status
            _log.info("TrainJob %s: %s", name, status)
        started = any(node.name == FIRST_NODE and node.status not in (None, "Pending") for node in found.steps)
        if started and (reader is None or not reader.is_alive()) and status not in (COMPLETE, FAILED):
            # A pod that was replaced has a log of its own.
            reader = threading.Thread(target=_stream, args=(client, name), daemon=True)
            reader.start()
        if needs_a_person() or status in (COMPLETE, FAILED):
            if reader is not None:
                reader.join(10.0)
            return status
        time.sleep(poll_seconds)


def _stream(client: TrainerClient, name: str) -> None:
    try:
        for line in client.get_job_logs(name, step=FIRST_NODE, follow=True):
            _log.info("%s", line)
    except RuntimeError as error:
        _log.warning("the log of TrainJob %s broke off: %s", name, _cause(error))


def _fail(client: TrainerClient, job: Job, name: str, status: str) -> NoReturn:
    if (job.folder / "failure.json").is_file():
        raise StepError(read_json(job.folder / "failure.json")["message"])
    if status == COMPLETE:
        raise StepError(
            f"TrainJob {name} is complete, but {job.results} is not there: mount the same volume at the same "
            f"path in the step's pod and in runtime {job.recipe.train.runtime}"
        )
    pods = [node.name for node in _read(lambda: client.get_job(name)).steps]
    raise StepError(f"TrainJob {name} failed:\n" + "\n".join(causes({pod: _log_of(client, name, pod) for pod in pods})))


def causes(logs: dict[str, list[str]]) -> list[str]:
    """Why a job failed, from the logs of its pods: the causes that its processes gave, else how a log ended.

    A process that lost the others does not know why. So it is heard last, and the log of a pod without one first.
    """
    said = [f"{pod}: {line}" for pod, lines in logs.items() for line in lines if line.startswith("ERROR ")]
    known = list(dict.fromkeys(line for line in said if LOST not in line))
    if known:
        return known[:LAST_CAUSES]
    ends = {pod: lines for pod, lines in logs.items() if not any(LOST in line for line in lines)}
    pod, lines = next(iter((ends or logs).items()), ("no pod", []))
    return [*said[:LAST_CAUSES], f"the last lines of {pod}:", *(lines[-LAST_LINES:] or ["(no log)"])]


def _log_of(client: TrainerClient, name: str, pod: str) -> list[str]:
    try:
        return list(client.get_job_logs(name, step=pod))
    except RuntimeError as error:
        return [f"(its log can't be read: {_cause(error)})"]


def _cause(error: BaseException) -> str:
    cause = error.__cause__ or error
    return f"{error}: {getattr(cause, 'reason', '')} {getattr(cause, 'body', '') or cause}".strip()
