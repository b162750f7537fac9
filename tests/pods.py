"""What Kubeflow Trainer and JobSet do with a TrainJob on two hosts: a pod on each, restarted together when one fails.

The command is the one that the step submitted, the variables are those of Kubeflow Trainer 2.3.0
(pkg/runtime/framework/plugins/torch/torch.go, EnforceMLPolicy), and the number of restarts is the shipped runtime's.
The stand-in of the cluster's API calls `look` whenever the step asks for the job.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from tests.hosts import Host
from tests.trainer_api import TrainerApi

ROOT = Path(__file__).resolve().parents[1]
RUNTIME: dict[str, Any] = yaml.safe_load((ROOT / "infra/k8s/cluster/training.yaml").read_text())["spec"]["template"]
POD: dict[str, Any] = RUNTIME["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
PROCESSES = 2  # a pod
PORT = "29500"


def _ends_the_job(codes: list[int | None]) -> bool:
    """Whether the runtime's two failure policies, of Kubernetes and of JobSet, forbid a restart after these exits."""
    (rule,) = RUNTIME["spec"]["failurePolicy"]["rules"]
    assert (rule["action"], rule["onJobFailureReasons"]) == ("FailJobSet", ["PodFailurePolicy"])
    job = RUNTIME["spec"]["replicatedJobs"][0]["template"]["spec"]
    (policy,) = job["podFailurePolicy"]["rules"]
    assert (policy["action"], policy["onExitCodes"]["operator"]) == ("FailJob", "In")
    assert POD["restartPolicy"] == "Never"  # without it Kubernetes refuses the policy
    return any(code in policy["onExitCodes"]["values"] for code in codes)


class Pods:
    def __init__(self, api: TrainerApi, hosts: tuple[Host, Host], folder: Path) -> None:
        self.api, self.hosts, self.folder = api, hosts, folder
        self.mounts = ["", ""]  # of each host's pod, see Host.start
        self.rendezvous = "static"  # of torchrun, whose variables of Kubeflow Trainer mean this one; or "c10d"
        self.restarts = 0
        self.lost: set[int] = set()  # hosts that are gone without a word: Kubernetes still counts their pods as running
        self._running: list[subprocess.Popen[bytes]] = []
        self._job: dict[str, Any] | None = None
        api.polled = self.look  # type: ignore[method-assign]

    def lose(self, number: int) -> None:
        """The host loses its power; nobody knows until the other host's pod ends."""
        self.lost.add(number)
        self.hosts[number].kill()

    def look(self) -> None:
        if self.api.status:
            return
        (job,) = self.api.jobs.values()
        if job is not self._job:
            self.end()
            self._job, self.restarts = job, 0
            self._start()
        codes = [None if n in self.lost else pod.poll() for n, pod in enumerate(self._running)]

        if all(code == 0 for code in codes):
            self.api.status = "Complete"
        elif any(codes):
            self.end()
            if _ends_the_job(codes) or self.restarts == RUNTIME["spec"]["failurePolicy"]["maxRestarts"]:
                self.api.logs = [self.log(number).splitlines() for number in range(len(self.hosts))]
                self.api.status = "Failed"
                return
            self.restarts += 1
            self._start()

    def log(self, number: int) -> str:
        """Of all the pods that this host had."""
        path = self._log(number)
        return path.read_text(errors="replace") if path.exists() else ""

    def terminate(self, number: int) -> None:
        """As Kubernetes does with a pod whose node is drained: SIGTERM to the container's first process."""
        self._running[number].send_signal(signal.SIGTERM)

    def end(self) -> None:
        for pod in self._running:
            if pod.poll() is None:
                pod.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 20  # shorter than a cluster's grace: what is left has nothing to save
        while any(pod.poll() is None for pod in self._running) and time.monotonic() < deadline:
            time.sleep(0.05)
        for host in self.hosts:
            host.signal(signal.SIGKILL)
        for pod in self._running:
            pod.wait()
        self._running = []

    def _start(self) -> None:
        assert self._job is not None
        name = self._job["metadata"]["name"]
        names = [f"{name}-node-0-{number}" for number in range(len(self.hosts))]
        hosts = self.folder / "hosts"
        known = [f"{host.address} {own}.{name} {own}" for host, own in zip(self.hosts, names, strict=True)]
        hosts.write_text("\n".join(["127.0.0.1 localhost", *known, ""]))
        self.lost.clear()
        for number, host in enumerate(self.hosts):
            host.join()
            environment = {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                **{variable["name"]: variable["value"] for variable in POD["containers"][0]["env"]},
                "OMP_NUM_THREADS": "1",
                "PET_NNODES": str(self._job["spec"]["trainer"]["numNodes"]),
                "PET_NPROC_PER_NODE": str(PROCESSES),
                "PET_NODE_RANK": str(number),
                "PET_MASTER_ADDR": f"{names[0]}.{name}",
                "PET_MASTER_PORT": PORT,
            }
            if self.rendezvous == "c10d":
                environment |= {"PET_RDZV_BACKEND": "c10d", "PET_RDZV_ENDPOINT": f"{names[0]}.{name}:{PORT}"}
            command = self._job["spec"]["trainer"]["command"]
            log, mounts = self._log(number), self.mounts[number]
            self._running.append(host.start(command, names[number], hosts, environment, log, mounts))
        self.api.phase = "Running"

    def _log(self, number: int) -> Path:
        return self.folder / f"pod-{number}.log"
