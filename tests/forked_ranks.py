"""Runs a training's ranks in forked processes, and kills one of them at a chosen step.

A fork starts in milliseconds where a new interpreter needs seconds to import torch; what runs in it is the same worker.
"""

import os
import signal
import socket
from collections.abc import Callable

import torch._dynamo  # noqa: F401 - the optimizer loads it when first used: let that happen once, before the forks
from safetensors.numpy import load_file

from components.train import objective, worker
from components.train.job import Job


def run_ranks(
    job: Job, ranks: int = 1, kill_at: int | None = None, before: Callable[[], None] = lambda: None
) -> list[int]:
    """The ranks' exit codes, negative for a signal. The last rank kills itself before its `kill_at`-th step."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [_fork(job, rank, ranks, port, kill_at if rank == ranks - 1 else None, before) for rank in range(ranks)]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def results_of(job: Job) -> dict[str, bytes]:
    """Weights and curves to the bit. Not the whole file: safetensors writes its metadata in an order of its own."""
    weights = load_file(job.results / "model.safetensors")
    return {
        **{name: array.tobytes() for name, array in weights.items()},
        "curves": (job.results / "curves.json").read_bytes(),
    }


def _fork(job: Job, rank: int, ranks: int, port: int, kill_at: int | None, before: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(ranks), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        if kill_at is not None:
            _kill_before_step(kill_at)
        before()
        code = worker.main(["--job", str(job.folder)])
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
