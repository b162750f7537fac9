"""Runs a training's ranks in forked processes, and kills one of them at a chosen step.

A fork starts in milliseconds where a new interpreter needs seconds to import torch; what runs in it is the same worker.
The forks come from a server that has imported torch and never computed: a fork of the tests' own process inherits
OpenMP's locks without the threads that would open them, and hangs now and then.
"""

import multiprocessing
import os
import signal
import socket
from collections.abc import Callable

import cloudpickle
from safetensors.numpy import load_file

from components.train import objective, worker
from components.train.job import Job

_FORKS = multiprocessing.get_context("forkserver")
# The optimizer loads torch._dynamo when first used: let that happen once, before the forks.
_FORKS.set_forkserver_preload(["torch._dynamo", "components.train.worker"])


def run_ranks(
    job: Job, ranks: int = 1, kill_at: int | None = None, before: Callable[[], None] = lambda: None
) -> list[int | None]:
    """The ranks' exit codes, negative for a signal. The last rank kills itself before its `kill_at`-th step."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    children = []
    for rank in range(ranks):
        dies_at = kill_at if rank == ranks - 1 else None
        arguments = (str(job.folder), {**shared, "RANK": str(rank)}, dies_at, cloudpickle.dumps(before))
        children.append(_FORKS.Process(target=_work, args=arguments))
        children[-1].start()
    for child in children:
        child.join()
    return [child.exitcode for child in children]


def results_of(job: Job) -> dict[str, bytes]:
    """Weights and curves to the bit. Not the whole file: safetensors writes its metadata in an order of its own."""
    weights = load_file(job.results / "model.safetensors")
    return {
        **{name: array.tobytes() for name, array in weights.items()},
        "curves": (job.results / "curves.json").read_bytes(),
    }


def _work(folder: str, environment: dict[str, str], kill_at: int | None, before: bytes) -> None:
    code = 1
    try:
        os.environ.update(environment)
        if kill_at is not None:
            _kill_before_step(kill_at)
        cloudpickle.loads(before)()
        code = worker.main(["--job", folder])
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        os._exit(code)  # no test framework in the child


def _kill_before_step(kill_at: int) -> None:
    step, calls = objective.Optimiser.step, 0

    def dying(self: objective.Optimiser, *arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, *arguments)  # type: ignore[arg-type]

    objective.Optimiser.step = dying  # type: ignore[assignment,method-assign]
