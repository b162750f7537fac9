"""What every step has in common: its config, its output folder, its events, and its part of the run's record.

A step's JSON, HTML and PNG files go to the MLflow run, also when the step fails: the Data Docs of refused data are what
its owner needs to see. A `StepError` or a refused value is shown as one line; anything else keeps its traceback.
"""

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from components.artifacts import hand_over
from components.errors import StepError, one_line
from components.process.progress import emit
from components.run_config import RunConfig
from components.settings import from_dict, to_dict
from components.storage.files import full_disk_in_one_line
from components.tracking.ending import Ending, Outcome, began, recovered, terminated
from components.tracking.runs import TrackedRun, run_for

_SHOWN = (".json", ".html", ".png")
_LARGEST_SHOWN = 16 * 2**20  # bytes; weights and tables stay where the pipeline keeps them
_PATIENCE = 20.0  # seconds in which a step that was asked to end may record why; Kubernetes kills it after 30
MINUTES_VARIABLE = "MMCTR_STEP_MINUTES"  # the step's time limit, where it has one
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """A step while it runs."""

    name: str
    config: RunConfig
    out: Path
    run: TrackedRun

    def record(self, result: Mapping[str, Any]) -> None:
        """The numbers of a step's result become metrics of the run, named `step/field`."""
        numbers = {f"{self.name}/{field}": float(value) for field, value in flatten(result) if _is_number(value)}
        if numbers:
            self.run.log_metrics(numbers)


def parse_config(text: str) -> RunConfig:
    try:
        return from_dict(RunConfig, json.loads(text))
    except ValueError as error:
        raise StepError(f"the run's config can't be read: {error}") from None


@contextmanager
def step(name: str, pipeline_run: str, config: str, out: str, part: int | None = None) -> Iterator[Step]:
    """Runs one step of the pipeline run `pipeline_run`; `out` is the folder that it fills.

    `part` tells apart the siblings of a step that runs several times side by side.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    emit("step", name=name, state="started")
    try:
        parsed = parse_config(config)
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        shown_as = f"{parsed.preset} {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        this = Step(name, parsed, folder, run_for(pipeline_run, parsed.experiment, shown_as=shown_as))
        shown = name if part is None else f"{name} {part}"
        with _ending_recorded(this.run, shown), full_disk_in_one_line(folder):
            try:
                yield this
            finally:
                _record_files(this)
            hand_over(this.out)
    except (StepError, ValueError) as error:
        emit("step", name=name, state="failed", cause=one_line(error))
        _log.error("%s failed: %s", name, error)
        raise SystemExit(1) from (None if isinstance(error, StepError) else error)
    except BaseException as error:
        emit("step", name=name, state="failed", cause=one_line(error))
        raise
    emit("step", name=name, state="finished")


@contextmanager
def _ending_recorded(run: TrackedRun, step: str) -> Iterator[None]:
    """Records when the step began, why it failed, and that it succeeded after a try that had failed.

    Argo hands SIGTERM to Kubeflow's launcher too, which dies at once, and the container with it a second later (Argo
    Workflows 4.0.5: workflow/executor/osspecific/signal_darwin.go, Kill and Wait; Kubeflow Pipelines 2.17.0:
    backend/src/v2/component/launcher_v2.go:707 starts this process and handles no signal). So the record is written
    before anything is cleaned up, and from a thread, because the signal may have interrupted a request.
    """
    start, minutes = time.time(), float(os.environ.get(MINUTES_VARIABLE) or 0)
    last_word: list[threading.Thread] = []

    def leave(signum: int, _: Any) -> NoReturn:
        ending = terminated(step, time.time() - start, minutes)
        last_word.append(threading.Thread(target=run.set_tags, args=(ending.tags(),), daemon=True))
        last_word[0].start()
        raise SystemExit(128 + signum)

    run.set_tags(began(step, start, minutes))
    with _on_sigterm(leave):
        try:
            yield
        except BaseException as error:
            if last_word:
                last_word[0].join(_PATIENCE)
            else:
                outcome: Outcome = "killed" if isinstance(error, KeyboardInterrupt) else "failed"
                run.set_tags(Ending(outcome, step, one_line(error)).tags())
            raise
    if gone := recovered(run.tags(), step):
        run.set_tags(gone)


@contextmanager
def _on_sigterm(leave: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Python lets no other thread handle signals
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def log_config(run: TrackedRun, config: RunConfig) -> None:
    run.log_params(dict(flatten(to_dict(config))))


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """`{"a": {"b": 1}}` as `("a.b", 1)`; a list stays one value."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _record_files(this: Step) -> None:
    files = [p for p in sorted(this.out.iterdir()) if p.suffix in _SHOWN and p.stat().st_size <= _LARGEST_SHOWN]
    if files:
        this.run.log_files(files, this.name)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
