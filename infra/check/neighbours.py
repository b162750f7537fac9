"""Checks that our objects work together with Kubeflow, Kueue and Istio, which select, capture and change objects in a
namespace.

A policy takes all objects of an overlay and yields sentences, each beginning with the object.
"""

from collections.abc import Iterator
from typing import Any

from infra.check.build import Manifest, title
from infra.check.policies import containers, pods

OURS, NO_SIDECAR = "mmctr.io/owned", "sidecar.istio.io/inject"
PART_OF = "app.kubernetes.io/part-of"


def neighbour_errors(manifests: list[Manifest]) -> list[str]:
    policies = (network, queues, quotas, labels, members, volumes)
    return [error for policy in policies for error in policy(manifests)]


def network(manifests: list[Manifest]) -> Iterator[str]:
    """Every namespace has a policy that closes our own pods to incoming traffic. Kubeflow's pods are not ours
    to close.
    """
    closed = {
        m["metadata"].get("namespace")
        for m in manifests
        if m["kind"] == "NetworkPolicy"
        and m["spec"]["podSelector"] == {"matchLabels": {OURS: "true"}}
        and not m["spec"].get("ingress")
    }
    for space in sorted({m["metadata"]["namespace"] for m in manifests if m["metadata"].get("namespace")} - closed):
        yield f"Namespace {space}: no NetworkPolicy denies ingress"
    for manifest in manifests:
        if manifest["kind"] == "NetworkPolicy" and not manifest["spec"]["podSelector"]:
            yield f"{title(manifest)}: shuts pods of others too, for instance those of Kubeflow"


def queues(manifests: list[Manifest]) -> Iterator[str]:
    """An object that names no queue goes to the one named `default`: Kueue 0.19.0,
    pkg/controller/jobframework/defaults.go:49.
    """
    for manifest in manifests:
        if manifest["kind"] == "LocalQueue" and manifest["metadata"]["name"] == "default":
            yield f"{title(manifest)}: captures every pod, deployment and job of its namespace"


def quotas(manifests: list[Manifest]) -> Iterator[str]:
    """A pod that asks for a resource that its queue does not cover is never admitted."""
    asked = {
        resource
        for manifest in manifests
        for _, container, _ in containers(manifest)
        for resource in container.get("resources", {}).get("requests", {})
    }
    for manifest in manifests:
        if manifest["kind"] == "ClusterQueue":
            groups = manifest["spec"].get("resourceGroups", [])
            covered = {resource for group in groups for resource in group["coveredResources"]}
            for resource in sorted(asked - covered):
                yield f"{title(manifest)}: does not cover {resource}, which our pods ask for"


def labels(manifests: list[Manifest]) -> Iterator[str]:
    """Kubeflow's network policies select by that label: kubeflow/manifests 1.11.0, common/networkpolicies/base."""
    for manifest in manifests:
        if PART_OF in manifest["metadata"].get("labels", {}) or any(PART_OF in own for own in pod_labels(manifest)):
            yield f"{title(manifest)}: sets {PART_OF}, which is Kubeflow's"


def members(manifests: list[Manifest]) -> Iterator[str]:
    """Our label lets a pod reach MLflow; without the other, a Profile's namespace puts Istio's proxy into the pod."""
    for manifest in manifests:
        for own in pod_labels(manifest):
            if own.get(OURS) != "true":
                yield f"{title(manifest)}: its pods lack the label {OURS}"
            if own.get(NO_SIDECAR) != "false":
                yield f"{title(manifest)}: its pods get Istio's proxy, with which a job never ends"


def pod_labels(manifest: Manifest) -> Iterator[dict[str, str]]:
    """The labels of every pod in an object; KServe hands on those of the service."""
    if manifest["kind"] == "InferenceService":
        yield manifest["metadata"].get("labels", {})
        return

    def walk(value: Any) -> Iterator[dict[str, str]]:
        if isinstance(value, dict):
            spec = value.get("spec")
            if isinstance(spec, dict) and isinstance(spec.get("containers"), list):
                yield value.get("metadata", {}).get("labels", {})
            for inner in value.values():
                yield from walk(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner)

    yield from walk(manifest)


def volumes(manifests: list[Manifest]) -> Iterator[str]:
    """A fresh volume is root's: a job with an fsGroup must prepare each claim that steps mount."""
    prepared = {
        volume["persistentVolumeClaim"]["claimName"]
        for manifest in manifests
        if manifest["kind"] == "Job"
        for pod in pods(manifest)
        if pod.get("securityContext", {}).get("fsGroup")
        for volume in pod.get("volumes", [])
        if "persistentVolumeClaim" in volume
    }
    for manifest in manifests:
        if manifest["kind"] == "PersistentVolumeClaim" and manifest["metadata"]["name"] not in prepared:
            yield f"{title(manifest)}: no job makes it writable for the steps"
