"""A training on two hosts, two processes on each: one host loses its power, its network, its speed, or its folder.

The step's own launcher submits the TrainJob; what Kubernetes does with it is played by `tests/pods.py`, on hosts that
are network namespaces. Every training that ends well has the weights of an undisturbed one, bit for bit.
"""

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.artifacts import Artifacts
from components.errors import StepError
from components.train.job import Job
from components.train.trainjob import run_trainjob
from tests.forked_ranks import results_of
from tests.hosts import two_hosts
from tests.pods import Pods
from tests.tiny_training import MODEL, recipe, write_inputs, written_job
from tests.trainer_api import trainer_api

pytestmark = [pytest.mark.integration, pytest.mark.hosts, pytest.mark.slow]

STEPS = 132  # 12 epochs of 11
MIDDLE = 60


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    with two_hosts() as hosts, trainer_api() as api:
        made = Pods(api, hosts, tmp_path)
        yield made
        made.end()


@pytest.fixture(scope="module")
def undisturbed(inputs: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    job = make_job(inputs, folder)
    with two_hosts() as hosts, trainer_api() as api:
        assert train(job, Pods(api, hosts, folder)) == STEPS
    return results_of(job)


def make_job(inputs: Artifacts, folder: Path, **settings: object) -> Job:
    often = {"checkpoint_steps": 16, "max_epochs": 12, "patience": 12, "learning_rate_decay": 1.0, **settings}
    config = recipe(MODEL, launcher="trainjob", nodes=2, processes=2, **often)
    return written_job(inputs, config, folder / "work")


def train(job: Job, pods: Pods, in_the_middle: Callable[[], object] = lambda: None) -> int:
    """The last step of which the launcher told. `in_the_middle` is called once, while the training goes on."""
    steps: list[int] = []

    def told(step: int, _: dict[str, float]) -> None:
        if step >= MIDDLE > max(steps, default=0):
            in_the_middle()
        steps.append(step)

    run_trainjob(job, told, pods.api.backend(), poll_seconds=0.2)
    return steps[-1]


def continued_at(pods: Pods) -> list[int]:
    """The steps after which the first process of each later life went on."""
    found = re.findall(r"continuing after step (\d+) of epoch (\d+)", pods.log(0))
    return [(int(epoch) - 1) * 11 + int(step) for step, epoch in found[::2]]  # two processes write this log


@pytest.mark.parametrize(("host", "rendezvous"), [(0, "static"), (1, "static"), (1, "c10d")])
def test_a_host_that_loses_its_power_ends_the_job_which_continues(
    inputs: Artifacts, undisturbed: dict[str, bytes], pods: Pods, tmp_path: Path, host: int, rendezvous: str
) -> None:
    """Nobody is told: the other host ends by itself after `train.silence_minutes`, and says why."""
    job = make_job(inputs, tmp_path, silence_minutes=0.5)
    pods.rendezvous = rendezvous
    train(job, pods, lambda: pods.lose(host))
    assert pods.restarts == 1
    assert "ERROR lost the other processes: one of them or its host died" in pods.log(1 - host)
    assert continued_at(pods) >= [16]
    assert results_of(job) == undisturbed


def test_a_host_that_is_cut_off_for_a_minute_goes_on_as_if_nothing_had_been(
    inputs: Artifacts, undisturbed: dict[str, bytes], pods: Pods, tmp_path: Path
) -> None:
    def cut_for_a_minute() -> None:
        pods.hosts[1].cut()
        threading.Timer(60.0, pods.hosts[1].join).start()

    job = make_job(inputs, tmp_path)
    began = time.monotonic()
    train(job, pods, cut_for_a_minute)
    assert time.monotonic() - began > 60.0
    assert pods.restarts == 0
    assert results_of(job) == undisturbed


def test_a_host_that_is_cut_off_for_too_long_restarts_the_job(
    inputs: Artifacts, undisturbed: dict[str, bytes], pods: Pods, tmp_path: Path
) -> None:
    job = make_job(inputs, tmp_path, silence_minutes=0.5)
    train(job, pods, pods.hosts[1].cut)  # the pods' next start joins it
    assert pods.restarts == 1
    for number in range(2):
        assert "the network was cut for longer than train.silence_minutes = 0.5" in pods.log(number)
    assert results_of(job) == undisturbed


def test_a_slow_host_makes_the_job_slow_and_nothing_else(
    inputs: Artifacts, undisturbed: dict[str, bytes], pods: Pods, tmp_path: Path
) -> None:
    """Its processes stand still for 9 of 10 tenths of a second, five seconds long, then for five seconds whole."""

    def slow_down() -> None:
        for seconds in [0.9] * 5 + [5.0]:
            pods.hosts[1].signal(signal.SIGSTOP)
            time.sleep(seconds)
            pods.hosts[1].signal(signal.SIGCONT)
            time.sleep(0.1)

    job = make_job(inputs, tmp_path)
    train(job, pods, slow_down)
    assert pods.restarts == 0
    assert results_of(job) == undisturbed


def test_a_drained_host_loses_no_step(
    inputs: Artifacts, undisturbed: dict[str, bytes], pods: Pods, tmp_path: Path
) -> None:
    """Kubernetes sends SIGTERM to torchrun, which hands it on: all four processes write a checkpoint and leave."""
    job = make_job(inputs, tmp_path, checkpoint_steps=0, checkpoint_minutes=600.0)
    train(job, pods, lambda: pods.terminate(1))
    assert pods.restarts == 1
    assert continued_at(pods) >= [MIDDLE]
    assert results_of(job) == undisturbed


def test_a_folder_that_the_second_host_may_only_read_is_enough(
    inputs: Artifacts, undisturbed: dict[str, bytes], pods: Pods, tmp_path: Path
) -> None:
    job = make_job(inputs, tmp_path)
    work = tmp_path / "work"
    pods.mounts[1] = f"mount --bind {work} {work} && mount -o remount,bind,ro {work}"
    train(job, pods)
    assert pods.restarts == 0
    assert results_of(job) == undisturbed


def test_a_folder_that_the_first_host_may_only_read_ends_the_job_with_the_reason(
    inputs: Artifacts, undisturbed: dict[str, bytes], pods: Pods, tmp_path: Path
) -> None:
    """The reason can't be written down, so the step learns it from the pods' logs, and the job ends by exit code 2."""
    job = make_job(inputs, tmp_path)
    work = tmp_path / "work"
    pods.mounts[0] = f"mount --bind {work} {work} && mount -o remount,bind,ro {work}"
    with pytest.raises(StepError, match=r"failed:\nnode-0: ERROR .*metrics.jsonl could not be written on .*Read-only"):
        train(job, pods)
    assert pods.restarts == 0

    pods.mounts[0] = ""
    train(job, pods)
    assert results_of(job) == undisturbed


def test_a_folder_that_is_full_ends_the_job_at_once_with_the_reason(
    inputs: Artifacts, undisturbed: dict[str, bytes], pods: Pods, tmp_path: Path
) -> None:
    """A person must act, so no restart is spent: not by the step, which deletes the job, nor by the job's policy."""
    job = make_job(inputs, tmp_path)
    snapshots = job.folder / "snapshots"
    snapshots.mkdir()
    pods.mounts[0] = f"mount -t tmpfs -o size=8k tmpfs {snapshots}"
    with pytest.raises(StepError, match=r"^the checkpoint of step \d+ could not be written .*No space left.*: free"):
        train(job, pods)
    assert pods.restarts == 0

    pods.mounts[0] = ""
    train(job, pods)
    assert results_of(job) == undisturbed
