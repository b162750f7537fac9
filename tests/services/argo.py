"""What Kubeflow's compiler and Argo's controller make of a compiled pipeline: its pods' retries, lives and volumes.

Written after Kubeflow Pipelines 2.17.0 and Argo Workflows 4.0.5; each function names the lines that it follows.
"""

from dataclasses import dataclass
from typing import Any

import yaml

# manifests/kustomize/third-party/argo/base/workflow-controller-configmap-patch.yaml:48-59, as Kubeflow ships it.
SHIPPED: dict[str, Any] = yaml.safe_load("""
spec:
  ttlStrategy: {secondsAfterCompletion: 3600, secondsAfterSuccess: 3600, secondsAfterFailure: 3600}
  templateDefaults:
    retryStrategy: {limit: '2', retryPolicy: OnError}
""")
AS_DOCUMENTED: dict[str, Any] = yaml.safe_load("""
spec:
  ttlStrategy: {secondsAfterCompletion: 3600, secondsAfterSuccess: 3600, secondsAfterFailure: 3600}
  templateDefaults:
    retryStrategy: {limit: '2', retryPolicy: Always}
""")


@dataclass(frozen=True)
class Retries:
    limit: int
    first_wait: int
    factor: int
    window: int  # Argo's maxDuration
    policy: str

    def again(self, attempts: list[tuple[float, float]], phase: str) -> tuple[float, float] | None:
        """When the next try may start, and the deadline it is given; none when there is no next one.

        `attempts` are (start, end) in seconds, `phase` is the last one's: workflow/controller/operator.go:1026-1150.
        A main container that ended badly, an eviction and an OOM kill are all "Failed" (operator.go:1709-1776); "Error"
        is a pod that was deleted or never started.
        """
        deadline = attempts[0][0] + self.window
        start = attempts[-1][1] + self.first_wait * self.factor ** (len(attempts) - 1)
        retried = {"Always": ("Failed", "Error"), "OnError": ("Error",), "OnFailure": ("Failed",)}[self.policy]
        if attempts[-1][1] > deadline or start > deadline or phase not in retried or len(attempts) > self.limit:
            return None
        return start, deadline


def retries_of(task: dict[str, Any], defaults: dict[str, Any]) -> Retries:
    """backend/src/v2/compiler/argocompiler/container.go:410 and 613-682; merged by operator.go:4447-4488."""
    policy = task["retryPolicy"]
    factor = policy["backoffFactor"]
    if int(factor) != factor:
        raise ValueError(f"Argo can't read the back-off factor {factor}")  # intstr.Int32 of "1.5" fails
    return Retries(
        int(policy["maxRetryCount"]),
        int(policy["backoffDuration"].removesuffix("s")),
        int(factor),
        int(policy.get("backoffMaxDuration", "0s").removesuffix("s")),
        defaults["spec"]["templateDefaults"]["retryStrategy"]["retryPolicy"],
    )


def lifetime_of(platform: dict[str, Any], defaults: dict[str, Any], succeeded: bool) -> int:
    """Seconds that a finished run's pods stay: argocompiler/argo.go:262-289, gccontroller/gc_controller.go:261."""
    config, fallback = platform["pipelineConfig"], defaults["spec"]["ttlStrategy"]
    own = {kind: config.get(f"resourceTtlOn{kind}", 0) for kind in ("Completion", "Success", "Failure")}
    merged = {kind: int(own[kind]) or fallback[f"secondsAfter{kind}"] for kind in own}
    return int(merged["Success" if succeeded else "Failure"])


def volumes_of(settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By mount path. backend/src/v2/driver/k8s.go:589-615; nothing in backend/ reads enabledSharedMemory."""
    return {mount["mountPath"]: mount for mount in settings.get("emptyDirMounts", [])}
