"""Starts a pod like that of a step, to see whether its image can be pulled, the workspace be written and the git
repository be read.

The pod is made, read and deleted within the check. Nothing else in the cluster is changed.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from pipelines.access import CERTIFICATE_FOLDER, GIT_FOLDER
from pipelines.compile import OURS, SCRATCH
from pipelines.doctor.control_plane import PAGE, PATIENCE
from pipelines.doctor.finding import Finding
from pipelines.environment import Environment

SECONDS = 300.0  # for the image to arrive and the pod to end
_SCRIPT = """
for folder in $FOLDERS; do
  if touch "$folder/.mmctr-doctor" && rm "$folder/.mmctr-doctor"; then echo "written $folder"; fi
done
if git ls-remote --exit-code "$REPOSITORY" "$REVISION" > /dev/null; then echo "read repository"; fi
"""


def probe(
    environment: Environment, client: Any, wait: Callable[[float], None] = time.sleep, seconds: float = SECONDS
) -> Finding:
    import kubernetes

    core, space = kubernetes.client.CoreV1Api(client), environment.service.namespace
    pod = probe_pod(environment, f"mmctr-doctor-{os.getpid()}")
    name = pod["metadata"]["name"]
    core.create_namespaced_pod(space, pod, _request_timeout=PATIENCE)
    try:
        status, waited = None, 0.0
        while waited < seconds:
            status = core.read_namespaced_pod_status(name, space, _request_timeout=PATIENCE).status
            if status.phase in ("Succeeded", "Failed"):
                break
            wait(2.0)
            waited += 2.0
        else:
            return Finding(
                "pod",
                "error",
                f"a pod of a step did not start in {seconds:.0f} s: {_why(status)}",
                "image_pull_secrets of the environment, quotas, and the volume's events",
            )
        log = core.read_namespaced_pod_log(name, space, _request_timeout=PATIENCE)
    finally:
        core.delete_namespaced_pod(name, space, grace_period_seconds=0, _request_timeout=PATIENCE)
    return _judged(environment, log)


def _judged(environment: Environment, log: str) -> Finding:
    lines = log.splitlines()
    for volume in environment.volumes:
        if f"written {volume.path}" not in lines:
            return Finding(
                "pod",
                "error",
                f"user {environment.user_id} can't write to {volume.path} of claim {volume.claim}: {_last(lines)}",
                f"run the job that prepares it ({PAGE}#the-workspace)",
            )
    if "read repository" not in lines:
        source = environment.source
        return Finding(
            "pod",
            "error",
            f"{source.revision} of {source.repository} can't be read: {_last(lines)}",
            f"the environment's git and certificates ({PAGE}#private-servers)",
        )
    return Finding("pod", "ok", "the image arrives, the workspace can be written, the repository can be read")


def _last(lines: list[str]) -> str:
    return next((line for line in reversed(lines) if not line.startswith(("written ", "read "))), "no reason given")


def _why(status: Any) -> str:
    for container in (status and status.container_statuses) or []:
        if container.state and container.state.waiting:
            return f"{container.state.waiting.reason}: {container.state.waiting.message or ''}".strip()
    conditions = [condition.message for condition in (status and status.conditions) or [] if condition.message]
    return "; ".join(conditions) or "no reason given"


def probe_pod(environment: Environment, name: str) -> dict[str, Any]:
    """The pod's manifest: the user, mounts and variables of the step `ingest`, and like it without an fsGroup."""
    variables = {
        "FOLDERS": " ".join(volume.path for volume in environment.volumes),
        "REPOSITORY": environment.source.repository,
        "REVISION": environment.source.revision,
        **(environment.certificates.variables() if environment.certificates else {}),
        **(environment.git.variables() if environment.git else {}),
    }
    mounts = list(_mounts(environment))
    resources = {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"}
    container = {
        "name": "probe",
        "image": environment.images.cpu,
        "command": ["sh", "-c", _SCRIPT],
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "resources": {"requests": resources, "limits": resources},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": volume["name"], "mountPath": path} for volume, path in mounts],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": OURS, "annotations": {"sidecar.istio.io/inject": "false"}},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": round(SECONDS),
            "automountServiceAccountToken": False,
            "serviceAccountName": environment.service.service_account,
            "imagePullSecrets": [{"name": secret} for secret in environment.image_pull_secrets],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": environment.user_id,
                "runAsGroup": environment.user_id,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [volume for volume, _ in mounts],
        },
    }


def _mounts(environment: Environment) -> Iterator[tuple[dict[str, Any], str]]:
    yield {"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}}, SCRATCH
    for volume in environment.volumes:
        yield {"name": volume.claim, "persistentVolumeClaim": {"claimName": volume.claim}}, volume.path
    if environment.git:
        yield {"name": "git", "secret": {"secretName": environment.git.secret}}, GIT_FOLDER
    if environment.certificates:
        yield {"name": "certificates", "configMap": {"name": environment.certificates.config_map}}, CERTIFICATE_FOLDER
