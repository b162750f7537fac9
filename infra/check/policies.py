"""Our rules for what a cluster runs: images by digest, no privileges, limits everywhere, no secret in a manifest.

A policy takes all objects of an overlay and yields sentences, each beginning with the object.
"""

import re
from collections.abc import Iterator
from typing import Any

from croniter import croniter

from infra.check.build import Manifest, title

_DIGEST = re.compile(r"^\S+@sha256:[0-9a-f]{64}$")
_SECRET = re.compile(r"(PASSWORD|SECRET|TOKEN|ACCESS_KEY|PRIVATE|CREDENTIAL|SESSION_KEY)", re.IGNORECASE)
_CREDENTIALS_IN_URL = re.compile(r"://[^/\s:$]+:[^@\s$]+@")
_CLUSTER_WIDE = (
    "Namespace",
    "Profile",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrainingRuntime",
    "ClusterQueue",
    "ResourceFlavor",
)
_LONG_RUNNING = ("Deployment", "StatefulSet", "InferenceService")
_READ_ONLY = {"get", "list", "watch"}
# The only things that an account of the pipeline may make or change.
_WRITABLE = {
    "trainjobs",
    "workflowtaskresults",
    "inferenceservices",
    "pipelines",
    "pipelineversions",
    "experiments",
    "runs",
    "jobs",
}
_ASKS_THE_API = ("mmctr-rollout",)  # the only account whose pods carry a token
_READABLE_SECRET = ["mlpipeline-minio-artifact"]  # Kubeflow's launcher reads it with the account of the step


def policy_errors(manifests: list[Manifest]) -> list[str]:
    policies = (images, privileges, limits, secrets, crons, probes, roles, references, budgets, namespaces)
    return [error for policy in policies for error in policy(manifests)]


def pods(manifest: Manifest) -> Iterator[dict[str, Any]]:
    """Every pod spec in an object, wherever its kind keeps it: what has containers."""
    if manifest.get("kind") == "Pod":
        yield manifest["spec"]
        return

    def walk(value: Any) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            if isinstance(value.get("containers"), list):
                yield value
            for inner in value.values():
                yield from walk(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner)

    yield from walk(manifest.get("spec"))


def containers(manifest: Manifest) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Object and container in words, the container, and its pod."""
    for pod in pods(manifest):
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            yield f"{title(manifest)}, container {container.get('name')}", container, pod


def images(manifests: list[Manifest]) -> Iterator[str]:
    for manifest in manifests:
        for where, container, _ in containers(manifest):
            if not _DIGEST.match(str(container.get("image"))):
                yield f"{where}: image {container.get('image')!r} is not given by digest"


def privileges(manifests: list[Manifest]) -> Iterator[str]:
    for manifest in manifests:
        for where, container, pod in containers(manifest):
            own, shared = container.get("securityContext", {}), pod.get("securityContext", {})
            if own.get("privileged"):
                yield f"{where}: is privileged"
            if own.get("allowPrivilegeEscalation") is not False:
                yield f"{where}: allowPrivilegeEscalation is not false"
            if "ALL" not in own.get("capabilities", {}).get("drop", []) or own.get("capabilities", {}).get("add"):
                yield f"{where}: capabilities are not dropped"
            if own.get("readOnlyRootFilesystem") is not True:
                yield f"{where}: its root file system is writable"
            user = own.get("runAsUser", shared.get("runAsUser"))
            if not (own.get("runAsNonRoot", shared.get("runAsNonRoot")) and user):
                yield f"{where}: may run as root"
            if shared.get("seccompProfile", {}).get("type") != "RuntimeDefault":
                yield f"{where}: has no seccomp profile"
        for pod in pods(manifest):
            for field in ("hostNetwork", "hostPID", "hostIPC"):
                if pod.get(field):
                    yield f"{title(manifest)}: {field} shares the node"
            for volume in pod.get("volumes", []):
                if "hostPath" in volume:
                    yield f"{title(manifest)}: volume {volume.get('name')} mounts the node's disk"
            allowed = pod.get("serviceAccountName") in _ASKS_THE_API
            if pod.get("automountServiceAccountToken") is not False and not allowed:
                yield f"{title(manifest)}: the pod carries a token of the API server, and needs none"


def limits(manifests: list[Manifest]) -> Iterator[str]:
    for manifest in manifests:
        for where, container, pod in containers(manifest):
            resources = container.get("resources", {})
            for bound in ("requests", "limits"):
                for resource in ("cpu", "memory", "ephemeral-storage"):
                    if resource not in resources.get(bound, {}):
                        yield f"{where}: resources.{bound}.{resource} is missing"
            for volume in pod.get("volumes", []):
                if "emptyDir" in volume and not (volume["emptyDir"] or {}).get("sizeLimit"):
                    yield f"{where}: emptyDir {volume['name']} has no sizeLimit"


def secrets(manifests: list[Manifest]) -> Iterator[str]:
    for manifest in manifests:
        if manifest.get("kind") == "Secret":
            yield f"{title(manifest)}: a secret does not belong in git; docs/how-to/kubeflow.md says how it is made"
        for where, container, _ in containers(manifest):
            for variable in container.get("env", []):
                if "value" in variable and _SECRET.search(variable["name"]):
                    yield f"{where}: {variable['name']} has its value in the open"
        if found := _CREDENTIALS_IN_URL.search(str(manifest)):
            yield f"{title(manifest)}: {found[0].split(':')[0]}… a URL with credentials in it"


def crons(manifests: list[Manifest]) -> Iterator[str]:
    for manifest in manifests:
        if manifest.get("kind") != "CronJob":
            continue
        spec = manifest["spec"]
        schedule = str(spec.get("schedule"))
        if len(schedule.split()) != 5 or not croniter.is_valid(schedule):
            yield f"{title(manifest)}: schedule {schedule!r} is no five-field cron"
        if spec.get("concurrencyPolicy") != "Forbid":
            yield f"{title(manifest)}: two may run at once"
        if not spec.get("timeZone"):
            yield f"{title(manifest)}: the time zone is the control plane's own"
        job = spec.get("jobTemplate", {}).get("spec", {})
        for field in ("activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"):
            if field not in job:
                yield f"{title(manifest)}: {field} is missing, so a broken job may stay for ever"


def probes(manifests: list[Manifest]) -> Iterator[str]:
    for manifest in manifests:
        if manifest.get("kind") not in _LONG_RUNNING:
            continue
        for where, container, pod in containers(manifest):
            if container in pod["containers"] and "readinessProbe" not in container:
                yield f"{where}: has no readinessProbe"


def roles(manifests: list[Manifest]) -> Iterator[str]:
    for manifest in manifests:
        if manifest.get("kind") not in ("Role", "ClusterRole"):
            continue
        for rule in manifest["rules"]:
            verbs, resources = set(rule.get("verbs", [])), set(rule.get("resources", []))
            if "*" in verbs | resources | set(rule.get("apiGroups", [])):
                yield f"{title(manifest)}: a rule has a wildcard"
            if "secrets" in resources and rule.get("resourceNames") != _READABLE_SECRET:
                yield f"{title(manifest)}: may read secrets through the API"
            if "jobs" in resources and verbs - _READ_ONLY and rule["apiGroups"] != ["pipelines.kubeflow.org"]:
                yield f"{title(manifest)}: may make jobs, and so pods of any kind"
            if verbs - _READ_ONLY - {"readArtifact"} and (resources - _WRITABLE or manifest["kind"] == "ClusterRole"):
                yield f"{title(manifest)}: may {', '.join(sorted(verbs - _READ_ONLY))} {', '.join(sorted(resources))}"


def references(manifests: list[Manifest]) -> Iterator[str]:
    """Names that must be found among the objects: accounts, roles, claims, config maps, services' pods."""
    there = {(m["kind"], m["metadata"].get("namespace"), m["metadata"].get("name")) for m in manifests}
    for manifest in manifests:
        space = manifest["metadata"].get("namespace")
        for pod in pods(manifest):
            account = pod.get("serviceAccountName")
            if account and ("ServiceAccount", space, account) not in there:
                yield f"{title(manifest)}: the service account {account} is not there"
            for volume in pod.get("volumes", []):
                name = volume.get("configMap", {}).get("name")
                if name and ("ConfigMap", space, name) not in there:
                    yield f"{title(manifest)}: the config map {name} is not there"
                claim = volume.get("persistentVolumeClaim", {}).get("claimName")
                if claim and not any(k == "PersistentVolumeClaim" and n == claim for k, _, n in there):
                    yield f"{title(manifest)}: the claim {claim} is not there"
        if manifest["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            for subject in manifest.get("subjects", []):
                if (subject["kind"], subject.get("namespace"), subject["name"]) not in there:
                    yield f"{title(manifest)}: the subject {subject.get('namespace')}/{subject['name']} is not there"
            role = manifest["roleRef"]
            if (role["kind"], space, role["name"]) not in there:
                yield f"{title(manifest)}: the role {role['name']} is not there"
        if manifest["kind"] == "LocalQueue" and ("ClusterQueue", None, manifest["spec"]["clusterQueue"]) not in there:
            yield f"{title(manifest)}: the queue {manifest['spec']['clusterQueue']} is not there"


def budgets(manifests: list[Manifest]) -> Iterator[str]:
    """A budget that allows no disruption blocks every drain of a node."""
    for manifest in manifests:
        if manifest.get("kind") == "PodDisruptionBudget" and manifest["spec"].get("maxUnavailable", 1) in (0, "0%"):
            yield f"{title(manifest)}: no node could ever be drained"


def namespaces(manifests: list[Manifest]) -> Iterator[str]:
    for manifest in manifests:
        inside, wide = manifest["metadata"].get("namespace"), manifest["kind"] in _CLUSTER_WIDE
        if wide and inside:
            yield f"{title(manifest)}: belongs to no namespace, and has one"
        if not wide and not inside and "generateName" not in manifest["metadata"]:
            yield f"{title(manifest)}: has no namespace"
