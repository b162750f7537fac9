"""A stand-in for the Kubernetes API with Kubeflow Trainer behind it: enough of both for one TrainJob and its first pod.

It checks what it is given against the published model of a TrainJob (unknown fields are dropped by that model, so a
round trip shows them), and answers as the real servers do. A test decides how the job goes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kubeflow.trainer import KubernetesBackendConfig
from kubeflow_trainer_api import models
from kubernetes.client import Configuration

from tests.services.json_server import answering

TRAINER = "/apis/trainer.kubeflow.org/v1alpha1"
CREATED = "2026-11-20T00:00:00Z"

RUNTIME: dict[str, Any] = {
    "apiVersion": "trainer.kubeflow.org/v1alpha1",
    "kind": "ClusterTrainingRuntime",
    "metadata": {"name": "mmctr", "labels": {"trainer.kubeflow.org/framework": "torch"}},
    "spec": {
        "mlPolicy": {"numNodes": 1, "torch": {}},
        "template": {
            "spec": {
                "replicatedJobs": [
                    {
                        "name": "node",
                        "template": {
                            "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
                            "spec": {"template": {"spec": {"containers": [{"name": "node", "image": "mmctr-gpu"}]}}},
                        },
                    }
                ]
            }
        },
    },
}


@dataclass
class TrainerApi:
    """What the cluster holds and does. `phase` and `status` are the pod's and the job's."""

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    phase: str = "Pending"
    status: str = ""
    logs: list[list[str]] = field(default_factory=lambda: [[]])  # of each pod
    refuse: bool = False
    fail_reads: int = 0  # how many looks at the job are answered with 503
    polls: int = 0
    url: str = ""

    def backend(self) -> KubernetesBackendConfig:
        return KubernetesBackendConfig(namespace="team", client_configuration=Configuration(host=self.url))

    def polled(self) -> None:
        """Called whenever the job is looked at; tests replace it to move the job on."""

    def answer(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        jobs = f"{TRAINER}/namespaces/team/trainjobs"
        if path == f"{TRAINER}/clustertrainingruntimes/mmctr":
            return 200, RUNTIME
        if path == jobs and method == "POST" and body is not None:
            return self._create(body)
        if path == jobs:
            return 200, {
                "kind": "TrainJobList",
                "apiVersion": RUNTIME["apiVersion"],
                "metadata": {},
                "items": [self._shown(job) for job in self.jobs.values()],
            }
        if path.startswith(f"{jobs}/"):
            return self._one(method, path.rpartition("/")[2], body)
        if path == "/api/v1/namespaces/team/pods/step-pod":
            owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "nightly", "uid": "u-1"}
            return 200, {"metadata": {"name": "step-pod", "ownerReferences": [owner]}}
        if path == "/api/v1/namespaces/team/pods":
            return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": self._pods()}
        if path.startswith("/api/v1/namespaces/team/pods/pod-") and path.endswith("/log"):
            return 200, "".join(f"{line}\n" for line in self.logs[int(path.split("/")[-2].removeprefix("pod-"))])
        return 404, {"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound"}

    def _create(self, body: dict[str, Any]) -> tuple[int, Any]:
        if self.refuse:
            return 403, {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "trainjobs is forbidden"}
        read = models.TrainerV1alpha1TrainJob.from_dict(body)
        assert read is not None
        if read.to_dict() != body:
            return 422, {"kind": "Status", "code": 422, "reason": "Invalid", "message": "unknown fields"}
        name = body["metadata"]["name"]
        if name in self.jobs:
            return 409, {"kind": "Status", "code": 409, "reason": "AlreadyExists"}
        self.jobs[name] = body
        return 201, self._shown(body)

    def _one(self, method: str, name: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        if name not in self.jobs:
            return 404, {"kind": "Status", "code": 404, "reason": "NotFound"}
        if method == "DELETE":
            self.deleted.append(name)
            del self.jobs[name]
            self.status, self.phase = "", "Pending"
            return 200, {"kind": "Status", "status": "Success"}
        if method == "PATCH" and body is not None:
            self.jobs[name]["metadata"].update(body["metadata"])
            return 200, self._shown(self.jobs[name])
        if self.fail_reads:
            self.fail_reads -= 1
            return 503, {"kind": "Status", "code": 503, "reason": "ServiceUnavailable"}
        self.polls += 1
        self.polled()
        return 200, self._shown(self.jobs[name])

    def _shown(self, job: dict[str, Any]) -> dict[str, Any]:
        condition = {
            "type": self.status,
            "status": "True",
            "reason": "-",
            "message": "-",
            "lastTransitionTime": CREATED,
        }
        metadata = {**job["metadata"], "namespace": "team", "creationTimestamp": CREATED}
        return {**job, "metadata": metadata, "status": {"conditions": [condition]} if self.status else {}}

    def _pods(self) -> list[dict[str, Any]]:
        return [self._pod(str(number)) for number in range(len(self.logs))] if self.jobs else []

    def _pod(self, number: str) -> dict[str, Any]:
        labels = {"jobset.sigs.k8s.io/replicatedjob-name": "node", "batch.kubernetes.io/job-completion-index": number}
        metadata = {"name": f"pod-{number}", "namespace": "team", "labels": labels, "creationTimestamp": CREATED}
        spec = {"containers": [{"name": "node", "image": "mmctr-gpu"}]}
        return {"metadata": metadata, "spec": spec, "status": {"phase": self.phase}}


@contextmanager
def trainer_api() -> Iterator[TrainerApi]:
    api = TrainerApi()
    with answering(lambda request: api.answer(request.method, request.path, request.body)) as api.url:
        yield api
