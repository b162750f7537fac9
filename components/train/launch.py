"""Where a training's processes run: in this process, under torchrun on this machine, or in pods of a cluster."""

import logging
import os
from collections.abc import Callable

from components.errors import StepError
from components.process.children import Child, Tail
from components.storage.files import read_json
from components.train import worker
from components.train.job import Job
from components.train.watch import OnMetrics, hand_on

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
    raise StepError(f"training failed {train.restarts + 1} times; the last lines of its output:\n" + "\n".join(lines))


def trainjob(job: Job, on_metrics: OnMetrics) -> None:
    from components.train.trainjob import run_trainjob

    run_trainjob(job, on_metrics)


LAUNCHERS: dict[str, Callable[[Job, OnMetrics], None]] = {
    "inline": inline,
    "torchrun": torchrun,
    "trainjob": trainjob,
}


def _run_torchrun(job: Job, on_metrics: OnMetrics) -> tuple[int, list[str]]:
    """The exit status of torchrun and the last lines of its output, which goes to this process's log as it comes."""
    processes = job.recipe.train.processes
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // processes))
    arguments = ["--standalone", f"--nproc-per-node={processes}", "--max-restarts=0"]
    arguments += ["-m", worker.__name__, "--job", str(job.folder)]
    output, metrics = job.folder / "torchrun.log", Tail(job.metrics)
    output.unlink(missing_ok=True)
    lines = Tail(output)
    environment = {**os.environ, "OMP_NUM_THREADS": threads}
    with Child("torch.distributed.run", *arguments, log=output, environment=environment) as child:
        for _ in child.polls_until_end():
            for line in lines.lines():
                _log.info("%s", line)
            hand_on(metrics, on_metrics)
        return child.status or 0, child.last_lines(LAST_LINES)
