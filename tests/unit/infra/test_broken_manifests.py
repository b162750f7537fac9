"""Each of many ways to break the overlays is refused, and named."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from infra.check.build import Manifest
from infra.check.neighbours import neighbour_errors
from infra.check.policies import policy_errors
from infra.check.schemas import schema_errors
from tests.unit.infra.overlays import Objects, find


def at(value: Any, path: str) -> tuple[Any, Any]:
    """The parent and the key of a path such as spec.containers.0.image."""
    *parents, leaf = (int(part) if part.isdigit() else part.replace("~1", "/") for part in path.split("/"))
    for part in parents:
        value = value[part]
    return value, leaf


def put(title: str, path: str, new: Any) -> Callable[[Objects], None]:
    def change(objects: Objects) -> None:
        parent, leaf = at(find(objects, title), path)
        parent[leaf] = new

    return change


def drop(title: str, path: str) -> Callable[[Objects], None]:
    def change(objects: Objects) -> None:
        parent, leaf = at(find(objects, title), path)
        del parent[leaf]

    return change


def remove(title: str) -> Callable[[Objects], None]:
    return lambda objects: objects.remove(find(objects, title))


def add(manifest: Manifest) -> Callable[[Objects], None]:
    return lambda objects: objects.append(manifest)


MLFLOW = "spec/template/spec/containers/0"
BATCH = "spec/jobTemplate/spec/template/spec"
NODE = "spec/template/spec/replicatedJobs/0/template/spec/template/spec"
HOST = {"name": "disk", "hostPath": {"path": "/"}}
PLAIN = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3", "namespace": "mmctr-prod"}, "data": {}}

MUTATIONS: dict[str, tuple[Callable[[Objects], None], str]] = {
    "a tag": (put("Deployment mlflow", f"{MLFLOW}/image", "mmctr/cpu:latest"), "is not given by digest"),
    "a tag in a custom kind": (put("InferenceService mmctr", "spec/predictor/containers/0/image", "mmctr"), "digest"),
    "a tag in a runtime": (put("ClusterTrainingRuntime mmctr", f"{NODE}/containers/0/image", "a:1"), "by digest"),
    "a tag in an init container": (put("CronJob mlflow-backup", f"{BATCH}/initContainers/0/image", "pg:17"), "digest"),
    "privileged": (put("Deployment mlflow", f"{MLFLOW}/securityContext/privileged", True), "is privileged"),
    "escalation": (drop("Deployment mlflow", f"{MLFLOW}/securityContext/allowPrivilegeEscalation"), "Escalation"),
    "capabilities": (
        put("CronJob mmctr-batch", f"{BATCH}/containers/0/securityContext/capabilities", {}),
        "not dropped",
    ),
    "writable root": (
        drop("CronJob mmctr-batch", f"{BATCH}/containers/0/securityContext/readOnlyRootFilesystem"),
        "root file system is writable",
    ),
    "root": (drop("Deployment mlflow", "spec/template/spec/securityContext/runAsNonRoot"), "may run as root"),
    "no seccomp": (drop("ClusterTrainingRuntime mmctr", f"{NODE}/securityContext/seccompProfile"), "no seccomp"),
    "host network": (put("Deployment mlflow", "spec/template/spec/hostNetwork", True), "hostNetwork"),
    "host path": (put("Deployment mlflow", "spec/template/spec/volumes/0", HOST), "mounts the node's disk"),
    "api token": (drop("Deployment mlflow", "spec/template/spec/automountServiceAccountToken"), "token of the API"),
    "no memory limit": (drop("Deployment mlflow", f"{MLFLOW}/resources/limits/memory"), "limits.memory is missing"),
    "no limits in a runtime": (drop("ClusterTrainingRuntime mmctr", f"{NODE}/containers/0/resources"), "is missing"),
    "endless scratch": (put("CronJob mmctr-batch", f"{BATCH}/volumes/1/emptyDir", {}), "has no sizeLimit"),
    "a secret's value": (
        put("Deployment mlflow", f"{MLFLOW}/env/2", {"name": "DB_PASSWORD", "value": "x"}),
        "in the open",
    ),
    "a password in a url": (put("Deployment mlflow", f"{MLFLOW}/env/0/value", "postgresql://u:pw@db/x"), "credentials"),
    "a secret": (add(PLAIN), "a secret does not belong in git"),
    "a six-field cron": (put("CronJob mmctr-batch", "spec/schedule", "0 30 5 * * *"), "no five-field cron"),
    "a cron out of range": (put("CronJob mmctr-batch", "spec/schedule", "30 25 * * *"), "no five-field cron"),
    "two at once": (put("CronJob mlflow-backup", "spec/concurrencyPolicy", "Allow"), "two may run at once"),
    "no deadline": (drop("CronJob mlflow-backup", "spec/jobTemplate/spec/activeDeadlineSeconds"), "DeadlineSeconds"),
    "no readiness": (drop("Deployment mlflow", f"{MLFLOW}/readinessProbe"), "has no readinessProbe"),
    "a wildcard": (put("Role mmctr-trainer", "rules/0/verbs", ["*"]), "has a wildcard"),
    "reads any secret": (drop("Role mmctr-trainer", "rules/5/resourceNames"), "may read secrets"),
    "makes jobs": (put("Role mmctr-reader", "rules/2/verbs", ["create"]), "may make jobs"),
    "a queue for everything": (put("LocalQueue mmctr-training", "metadata/name", "default"), "captures every pod"),
    "a resource without quota": (
        put("ClusterQueue mmctr", "spec/resourceGroups/0/coveredResources", ["cpu", "memory"]),
        "does not cover ephemeral-storage",
    ),
    "last year's queue": (put("ClusterQueue mmctr", "apiVersion", "kueue.x-k8s.io/v1beta1"), "v1beta2"),
    "kubeflow's label": (
        put("Service mlflow", "metadata/labels", {"app.kubernetes.io/part-of": "mmctr"}),
        "which is Kubeflow's",
    ),
    "kubeflow's label on pods": (
        put("Deployment mlflow", "spec/template/metadata/labels", {"app.kubernetes.io/part-of": "mmctr"}),
        "which is Kubeflow's",
    ),
    "a pod that MLflow does not let in": (
        drop("CronJob mmctr-batch", "spec/jobTemplate/spec/template/metadata/labels/mmctr.io~1owned"),
        "lack the label mmctr.io/owned",
    ),
    "a sidecar in a job": (
        drop("Job mmctr-workspace", "spec/template/metadata/labels/sidecar.istio.io~1inject"),
        "a job never ends",
    ),
    "a sidecar in a training": (
        drop("ClusterTrainingRuntime mmctr", f"{NODE.removesuffix('/spec')}/metadata/labels/sidecar.istio.io~1inject"),
        "proxy",
    ),
    "a policy that shuts Kubeflow": (put("NetworkPolicy deny-ingress", "spec/podSelector", {}), "pods of others"),
    "a volume of root's": (remove("Job mmctr-workspace"), "no job makes it writable"),
    "a volume without a group": (
        drop("Job mmctr-workspace", "spec/template/spec/securityContext/fsGroup"),
        "no job makes it writable",
    ),
    "reads secrets": (put("Role mmctr-reader", "rules/0/resources", ["secrets"]), "may read secrets"),
    "makes pods": (put("Role mmctr-trainer", "rules/2/verbs", ["create"]), "may create events, pods"),
    "writes cluster-wide": (put("ClusterRole mmctr-runtime-reader", "rules/0/verbs", ["patch"]), "may patch"),
    "an account that is not there": (remove("ServiceAccount mlflow"), "the service account mlflow is not there"),
    "a claim that is not there": (remove("PersistentVolumeClaim mmctr-workspace"), "claim mmctr-workspace is not"),
    "a queue that is not there": (remove("ClusterQueue mmctr"), "the queue mmctr is not there"),
    "a subject elsewhere": (put("RoleBinding mmctr-trainer", "subjects/0/namespace", "other"), "is not there"),
    "a budget that blocks": (put("PodDisruptionBudget mlflow", "spec/maxUnavailable", 0), "drained"),
    "an open namespace": (remove("NetworkPolicy deny-ingress"), "no NetworkPolicy denies ingress"),
    "a namespaced runtime": (put("ClusterTrainingRuntime mmctr", "metadata/namespace", "x"), "belongs to no namespace"),
    "no namespace": (drop("Service mlflow", "metadata/namespace"), "has no namespace"),
    "unknown core field": (put("Deployment mlflow", "spec/replica", 2), "replica"),
    "wrong core type": (put("Deployment mlflow", "spec/replicas", "two"), "replicas"),
    "unknown runtime field": (put("ClusterTrainingRuntime mmctr", "spec/mlPolicy/nodes", 2), "nodes: unknown field"),
    "unknown pod field in a runtime": (
        put("ClusterTrainingRuntime mmctr", f"{NODE}/nodeSelectors", {}),
        "nodeSelectors",
    ),
    "wrong runtime type": (put("ClusterTrainingRuntime mmctr", "spec/mlPolicy/numNodes", "2"), "numNodes"),
    "unknown serving field": (put("InferenceService mmctr", "spec/predictor/minReplica", 1), "minReplica"),
    "unknown field of a pod monitor": (put("PodMonitor mmctr-serving", "spec/podMetricsEndpoint", []), "podMetricsE"),
    "unknown serving container field": (put("InferenceService mmctr", "spec/predictor/containers/0/imag", "x"), "imag"),
    "wrong serving type": (put("InferenceService mmctr", "spec/predictor/minReplicas", "2"), "minReplicas"),
    "unknown queue field": (put("ClusterQueue mmctr", "spec/quota", 1), "quota"),
    "wrong queueing": (put("ClusterQueue mmctr", "spec/queueingStrategy", "LIFO"), "queueingStrategy"),
    "wrong quota": (
        put("ClusterQueue mmctr", "spec/resourceGroups/0/flavors/0/resources/0/nominalQuota", "lots"),
        "lots",
    ),
    "unknown alert field": (put("PrometheusRule mmctr", "spec/groups/0/rules/0/severity", "x"), "severity"),
    "an alert without expression": (drop("PrometheusRule mmctr", "spec/groups/0/rules/0/expr"), "expr"),
    "a kind nobody knows": (
        add({"apiVersion": "x/v1", "kind": "Gadget", "metadata": {"name": "a", "namespace": "b"}}),
        "no schema for this kind",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_manifest_is_refused(built: dict[str, Objects], name: str) -> None:
    change, message = MUTATIONS[name]
    objects = copy.deepcopy(built["prod"])
    change(objects)
    changed = [manifest for manifest in objects if manifest not in built["prod"]]  # reading schemas is slow
    errors = [error for manifest in changed for error in schema_errors(manifest)] + policy_errors(objects)
    errors += neighbour_errors(objects)
    assert any(message in error for error in errors), errors
