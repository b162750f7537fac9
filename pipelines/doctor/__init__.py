"""Checks everything that a run needs. Each finding says what was found and, if it is not enough, what to do.

Without an environment: this machine, and the servers that its variables name. With one: the cluster too.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kubernetes.client import ApiException

from components.errors import StepError
from pipelines.doctor.cluster import images, pipelines
from pipelines.doctor.control_plane import (
    accounts,
    controller,
    kubernetes_client,
    namespace,
    queue,
    runtime,
    user,
    version,
)
from pipelines.doctor.finding import Finding
from pipelines.doctor.machine import disk, free_space, gpu, python
from pipelines.doctor.probe import probe
from pipelines.doctor.servers import clock, credentials, default_remote, mlflow, storage
from pipelines.environment import Environment

__all__ = ["Finding", "examine"]


def examine(
    environment: Environment | None, folder: Path, variables: Mapping[str, str], workspace: Path = Path(".mmctr")
) -> list[Finding]:
    """All findings; a check that fails in an unforeseen way is a finding as well, never the end of the others."""
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("Python", lambda: python(sys.version_info[:2])),
        ("disk", lambda: disk(*free_space(workspace))),
        ("GPU", gpu),
        ("data", lambda: storage(default_remote(folder))),
        ("credentials", lambda: credentials(default_remote(folder), variables)),
        ("MLflow", lambda: mlflow(variables, workspace)),
        ("clock", lambda: clock(variables)),
    ]
    findings = [_guarded(subject, check) for subject, check in checks]
    if environment is not None:
        findings += _of_cluster(environment)
    return findings


def _of_cluster(environment: Environment) -> list[Finding]:
    findings = [_guarded("images", lambda: images(environment)), _guarded("Pipelines", lambda: pipelines(environment))]
    try:
        client = kubernetes_client()
    except StepError as error:
        return [
            *findings,
            Finding("cluster", "warning", str(error), "set KUBECONFIG to that of the cluster's operator"),
        ]
    inside: dict[str, Callable[[Environment, Any], Finding]] = {
        "version": version,
        "controller": controller,
        "user": user,
        "namespace": namespace,
        "queue": queue,
        "accounts": accounts,
        "runtime": runtime,
    }
    if not environment.images.unbuilt():
        inside["pod"] = probe
    return findings + [
        _guarded(subject, lambda check=check: check(environment, client))  # type: ignore[misc]
        for subject, check in inside.items()
    ]


def _guarded(subject: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except ApiException as error:
        remedy = "is Kubeflow installed there, is KUBECONFIG that of the cluster's operator?"
        return Finding(subject, "error", f"the cluster answered HTTP {error.status} {error.reason}", remedy)
    except Exception as error:  # noqa: BLE001 (the doctor's business is to report whatever is wrong)
        words = " ".join(str(error).split())[:200]
        return Finding(subject, "error", f"{type(error).__name__}: {words}", "report this with `mmctr doctor`'s output")
