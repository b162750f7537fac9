"""Where a training's processes run: in this process, under torchrun on this machine, or in pods of a cluster."""

import collections
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from components.errors import StepError
from components.storage.files import read_json
from components.train import worker
from components.train.job import Job
from components.train.metrics_file import MetricsTail
from components.train.watch import OnMetrics

LAST_LINES = 30  # of a failed process's output, shown with the error

_log = logging.getLogger(__name__)


def inline(job: Job, on_metrics: OnMetrics) -> None:
    train = job.recipe.train
    if train.processes * train.nodes != 1:
        raise StepError(
            f"train.launcher = 'inline' runs one process, but train.processes x train.nodes = "
            f"{train.processes * train.nodes}: use train.launcher=torchrun, or trainjob on a cluster"
        )
    worker.run(job, on_metrics)


def torchrun(job: Job, on_metrics: OnMetrics) -> None:
    """One rank that dies ends all of them; the job then continues from its last checkpoint."""
    train = job.recipe.train
    if train.nodes != 1:
        raise StepError(
            "train.launcher = 'torchrun' runs on this machine: for train.nodes > 1 use train.launcher=trainjob"
        )
    for attempt in range(train.restarts + 1):
        (job.folder / "failure.json").unlink(missing_ok=True)
        code, lines = _run_torchrun(job, on_metrics)
        if code == 0 and job.finished:
            return
        if (job.folder / "failure.json").is_file():
            raise StepError(read_json(job.folder / "failure.json")["message"])
        _log.warning("training ended with exit code %d (attempt %d of %d)", code, attempt + 1, train.restarts + 1)
    raise StepError(f"training failed {train.restarts + 1} times; its last words:\n" + "\n".join(lines))


def trainjob(job: Job, on_metrics: OnMetrics) -> None:
    from components.train.trainjob import run_trainjob

    run_trainjob(job, on_metrics)


LAUNCHERS: dict[str, Callable[[Job, OnMetrics], None]] = {
    "inline": inline,
    "torchrun": torchrun,
    "trainjob": trainjob,
}


def _run_torchrun(job: Job, on_metrics: OnMetrics) -> tuple[int, list[str]]:
    processes = job.recipe.train.processes
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // processes))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}",
               "--max-restarts=0", "-m", worker.__name__, "--job", str(job.folder)]  # fmt: skip
    last: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
    with (
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": threads},
            preexec_fn=worker.die_with_parent,
        ) as process,
        _ended_with(process),
        MetricsTail(job.metrics, on_metrics) as tail,
    ):
        reader = threading.Thread(target=_forward, args=(process.stdout, last), daemon=True)
        reader.start()
        while process.poll() is None:
            tail.poll()
            reader.join(0.2)
        reader.join()
    return process.returncode, list(last)


def _forward(lines: Any, last: "collections.deque[str]") -> None:
    for line in lines:
        last.append(line.rstrip("\n"))
        _log.info("%s", last[-1])


@contextmanager
def _ended_with(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Whatever ends this step ends the ranks too: torchrun hands SIGTERM on to them."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
