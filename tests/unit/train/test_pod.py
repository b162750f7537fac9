"""The exit code of a pod, on which the failure policies of the training runtime decide."""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from components.train import pod
from components.train.worker import LOST_THE_OTHERS, NEEDS_A_PERSON

RUNTIME = Path(__file__).resolve().parents[3] / "infra/k8s/cluster/training.yaml"


@pytest.mark.parametrize(
    ("processes", "code", "waits"),
    [
        pytest.param([0, 0], 0, False, id="finished"),
        pytest.param([NEEDS_A_PERSON], NEEDS_A_PERSON, False, id="a-person-must-act"),
        pytest.param([-15, NEEDS_A_PERSON], NEEDS_A_PERSON, False, id="the-others-were-ended-for-it"),
        pytest.param([LOST_THE_OTHERS, LOST_THE_OTHERS], LOST_THE_OTHERS, True, id="lost-the-other-pods"),
        pytest.param([LOST_THE_OTHERS, -9], 1, False, id="one-of-its-own-was-killed"),
        pytest.param([1], 1, False, id="a-crash"),
    ],
)
def test_a_pod_ends_as_its_processes_did(
    monkeypatch: pytest.MonkeyPatch, processes: list[int], code: int, waits: bool
) -> None:
    def torchrun(_: list[str]) -> None:
        failures = {n: ProcessFailure(n, 1, own, "<N/A>") for n, own in enumerate(processes) if own}
        if failures:
            raise ChildFailedError("worker", failures)

    waited: list[float] = []
    monkeypatch.setattr(pod, "torchrun", torchrun)
    monkeypatch.setattr(time, "sleep", waited.append)
    assert pod.main(["--job", "here"]) == code
    assert bool(waited) == waits


def test_the_runtime_ends_a_job_for_the_exit_code_that_needs_a_person() -> None:
    spec: dict[str, Any] = yaml.safe_load(RUNTIME.read_text())["spec"]["template"]["spec"]
    (job,) = spec["replicatedJobs"]
    template = job["template"]["spec"]
    (policy,) = template["podFailurePolicy"]["rules"]
    assert policy["action"] == "FailJob"
    assert policy["onExitCodes"]["values"] == [NEEDS_A_PERSON]
    own = template["template"]["spec"]
    assert policy["onExitCodes"]["containerName"] in [container["name"] for container in own["containers"]]
    assert own["restartPolicy"] == "Never"  # Kubernetes refuses a pod failure policy with any other
    (rule,) = spec["failurePolicy"]["rules"]
    assert (rule["action"], rule["onJobFailureReasons"]) == ("FailJobSet", ["PodFailurePolicy"])
