"""A stand-in for the Kubernetes API of a cluster with Kubeflow, as much as the doctor asks: objects by path, access
reviews, pods that run to an end, and patches."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml
from kubernetes.client import ApiClient, Configuration

from tests.services.argo import AS_DOCUMENTED
from tests.services.json_server import Request, answering

SPACE = "/api/v1/namespaces/mmctr-prod"
INSTALLED_WITH = "/api/v1/namespaces/kubeflow/configmaps/pipeline-install-config"
PROFILE = {"app.kubernetes.io/part-of": "kubeflow-profile", "pipelines.kubeflow.org/enabled": "true"}
OF_THE_PROFILE = ("kfp-launcher", "metadata-grpc-configmap", "artifact-repositories")
SECRETS = ("mlpipeline-minio-artifact", "mmctr-s3", "mmctr-mlflow-trainer")


def listed(*names: str) -> dict[str, Any]:
    return {"items": [{"metadata": {"name": name}} for name in names]}


def merge(there: Any, patch: Any) -> Any:
    """RFC 7386: mappings are merged, null removes, and everything else replaces."""
    if not isinstance(patch, dict) or not isinstance(there, dict):
        return patch
    kept = {key: value for key, value in there.items() if key not in patch}
    return kept | {key: merge(there.get(key), value) for key, value in patch.items() if value is not None}


@dataclass
class KubernetesApi:
    """A cluster in which everything is as it must be; a test breaks something."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)  # "verb resource" that no account may do
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    phase: str = "Succeeded"  # of every pod
    waiting: dict[str, str] = field(default_factory=dict)  # why a pod's container does not start
    log: str = "written /workspace\nread repository\n"
    url: str = ""

    def __post_init__(self) -> None:
        container = {"name": "ml-pipeline", "image": "ghcr.io/kubeflow/kfp-api-server:2.17.0"}
        deployment = {"spec": {"selector": {}, "template": {"spec": {"containers": [container]}}}}
        self.objects = {
            "/apis/apps/v1/namespaces/kubeflow/deployments/ml-pipeline": deployment,
            INSTALLED_WITH: {"data": {"appName": "pipeline"}},
            SPACE: {"metadata": {"name": "mmctr-prod", "labels": PROFILE}},
            f"{SPACE}/configmaps": listed(*OF_THE_PROFILE),
            f"{SPACE}/secrets": listed(*SECRETS),
            "/apis/kueue.x-k8s.io/v1beta2/namespaces/mmctr-prod/localqueues": listed("mmctr-training"),
            "/apis/trainer.kubeflow.org/v1alpha1/clustertrainingruntimes/mmctr": {"metadata": {"name": "mmctr"}},
        }
        self.set_controller(AS_DOCUMENTED)

    def set_controller(self, defaults: dict[str, Any]) -> None:
        data = {"workflowDefaults": yaml.safe_dump(defaults), "artifactRepository": "archiveLogs: true"}
        self.objects["/api/v1/namespaces/kubeflow/configmaps/workflow-controller-configmap"] = {"data": data}

    def client(self) -> ApiClient:
        return ApiClient(Configuration(host=self.url))

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path.endswith("/subjectaccessreviews"):
            asked = body["spec"]["resourceAttributes"]
            allowed = f"{asked['verb']} {asked['resource']}" not in self.refused
            return 201, {**body, "status": {"allowed": allowed}}
        if path == f"{SPACE}/pods":
            self.pods[body["metadata"]["name"]] = body
            return 201, body
        if path.startswith(f"{SPACE}/pods/"):
            return self._pod(method, path.removeprefix(f"{SPACE}/pods/"))
        if path in self.objects:
            return 200, self.objects[path]
        return 404, {"kind": "Status", "code": 404, "reason": "NotFound", "message": f"{path} not found"}

    def patch(self, path: str, kind: str, body: Any) -> tuple[int, Any]:
        """A merge patch, of which the object's version is a part: with an old one it is refused."""
        if kind != "application/merge-patch+json" or not isinstance(body, dict):
            message = f"cannot unmarshal {type(body).__name__} as {kind}"
            return 400, {"kind": "Status", "code": 400, "reason": "BadRequest", "message": message}
        found = self.objects[path]
        before = found["metadata"].get("resourceVersion", "1")
        if body.get("metadata", {}).get("resourceVersion", before) != before:
            return 409, {"kind": "Status", "code": 409, "reason": "Conflict"}
        merged = merge(found, body)
        merged["metadata"]["resourceVersion"] = str(int(before) + 1)
        self.objects[path] = merged
        return 200, merged

    def _pod(self, method: str, rest: str) -> tuple[int, Any]:
        name, _, part = rest.partition("/")
        if method == "DELETE":
            self.removed.append(name)
            return 200, self.pods.pop(name)
        if part == "log":
            return 200, self.log
        state = {"waiting": self.waiting} if self.waiting else {}
        shown = {"name": "probe", "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": state}
        return 200, {**self.pods[name], "status": {"phase": self.phase, "containerStatuses": [shown]}}


@contextmanager
def kubernetes_api() -> Iterator[KubernetesApi]:
    api = KubernetesApi()

    def answer(request: Request) -> tuple[int, Any]:
        if request.method == "PATCH":
            return api.patch(request.path, request.content_type, request.body or {})
        return api.answer(request.method, request.path, request.body or {})

    with answering(answer) as api.url:
        yield api
