"""Runs a study: prepares its data once, trains several cells at the same time, and never repeats a finished one.

Seed 1 of all arms comes first, then seed 2 ...: a study that is stopped early has something to show. A cell that fails
is named and the others go on.
"""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from components.errors import StepError
from components.run_config import RunConfig
from components.settings import to_dict
from components.storage.files import read_json
from model.checks import at_least
from studies.cell import cell_key
from studies.inputs import Inputs
from studies.plan import Arm, Study
from studies.task import Task

OnEvent = Callable[[dict[str, Any]], None]
_POLL = 0.1  # seconds between looks at the tasks


@dataclass(frozen=True)
class StudyData:
    """The data of a study: a folder, or else what the repository's `data.dvc` names at a revision."""

    folder: Path | None
    repository: Path
    revision: str
    rows: int | None = None  # train rows to use; None: all

    def __post_init__(self) -> None:
        if self.folder is not None and not self.folder.is_dir():
            raise ValueError(f"--data {self.folder}: no such folder")
        if self.rows is not None:
            at_least("--rows", self.rows, 2)


@dataclass(frozen=True)
class Order:
    """A study as somebody asked for it."""

    study: Study
    base: RunConfig
    overrides: tuple[str, ...]
    source: StudyData
    seeds: int
    jobs: int
    workspace: Path
    out: Path

    def __post_init__(self) -> None:
        at_least("--seeds", self.seeds, 1)
        at_least("--jobs", self.jobs, 1)
        if any(override.partition("=")[0].strip() == "train.seed" for override in self.overrides):
            raise ValueError("--set train.seed: a study takes the seeds 1, 2, 3 ...; say how many with --seeds")


@dataclass(frozen=True)
class Cell:
    """One arm with one seed, and the folder that holds what was found."""

    arm: Arm
    seed: int
    config: RunConfig
    attention: bool
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.arm.name}, seed {self.seed}"

    @property
    def finished(self) -> bool:
        return (self.folder / "cell.json").is_file()

    def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = read_json(self.folder / "cell.json")
        return found

    def start(self, inputs: Inputs) -> Task:
        request = {
            "config": to_dict(self.config),
            "inputs": vars(inputs),
            "attention": self.attention,
            "out": str(self.folder),
        }
        return Task("studies.cell", self.folder / f"task-{os.getpid()}", request)


class Piece(Protocol):
    """Work in a process of its own, which writes `cell.json` last: a study's cell, or a policy of a replay."""

    @property
    def name(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    @property
    def finished(self) -> bool: ...
    def figures(self) -> dict[str, Any]: ...
    def start(self, inputs: Any) -> Task: ...


P = TypeVar("P", bound=Piece)


@dataclass(frozen=True)
class StudyRun:
    """What became of a study's cells."""

    inputs: Inputs
    cells: list[Cell]  # all of them, finished or failed
    failed: dict[str, str]  # cell name -> message


def prepare_inputs(order: Order, on_event: OnEvent) -> Inputs:
    source = order.source
    request = {
        "config": to_dict(order.base),
        "data": str(source.folder) if source.folder else "",
        "rows": source.rows,
        "repository": str(source.repository),
        "revision": source.revision,
        "workspace": str(order.workspace),
    }
    inputs = Inputs(**answered("studies.inputs", request, order.workspace, on_event))
    on_event({"kind": "prepared", "rows": inputs.data["rows"], "split": inputs.split, "note": inputs.split_note})
    return inputs


def answered(module: str, request: dict[str, Any], workspace: Path, on_event: OnEvent) -> dict[str, Any]:
    """What `module` answers to `request`, from a process of its own."""
    folder = workspace / "cache" / "study" / "preparing" / str(time.time_ns())
    answer = folder / "inputs.json"
    on_event({"kind": "preparing"})
    task = Task(module, folder, {**request, "answer": str(answer)})
    try:
        for _ in task.polls_until_end():
            for event in task.new_events():
                on_event(event)
    finally:
        task.end()
    if task.status != 0:
        raise StepError(task.failure())
    found: dict[str, Any] = read_json(answer)
    shutil.rmtree(folder)
    return found


def cells_of(order: Order, inputs: Inputs) -> list[Cell]:
    attention = "attention" in order.study.views
    cells = []
    for seed in range(1, order.seeds + 1):
        for arm in order.study.arms:
            config = replace(arm.config, train=replace(arm.config.train, seed=seed))
            key = cell_key(inputs, config, attention)
            cells.append(Cell(arm, seed, config, attention, order.workspace / "cache" / "cells" / key))
    return cells


def run_cells(
    cells: list[P], inputs: Any, jobs: int, on_event: OnEvent, on_finished: Callable[[P], None]
) -> dict[str, str]:
    """Runs cells in their order, up to `jobs` at a time, and returns why the failed ones did.

    Interrupted, it ends its processes first; the same call then goes on from there.
    """
    left, running, failed = list(cells), list[_Running[P]](), dict[str, str]()
    try:
        while left or running:
            while len(running) < jobs and (cell := _next(left, running)):
                left.remove(cell)
                if cell.finished:  # two arms may be the same ranker under the study's settings
                    _report_finished(cell, 0.0, on_event, on_finished)
                    continue
                running.append(_Running(cell, cell.start(inputs), time.monotonic()))
                on_event({"kind": "cell", "state": "started", "cell": cell.name})
            for here in [each for each in running if _ended(each, on_event)]:
                running.remove(here)
                if here.cell.finished:
                    shutil.rmtree(here.task.folder)
                    _report_finished(here.cell, time.monotonic() - here.since, on_event, on_finished)
                else:
                    failed[here.cell.name] = cause = here.task.failure()
                    on_event({"kind": "cell", "state": "failed", "cell": here.cell.name, "cause": cause})
            time.sleep(_POLL)
    finally:
        for here in running:
            here.task.end()
    return failed


@dataclass(frozen=True)
class _Running(Generic[P]):
    cell: P
    task: Task
    since: float


def _next(left: list[P], running: list[_Running[P]]) -> P | None:
    """The first cell on which no other is working."""
    busy = {each.cell.folder for each in running}
    return next((cell for cell in left if cell.folder not in busy), None)


def _ended(here: _Running[P], on_event: OnEvent) -> bool:
    ended = here.task.status is not None
    for event in here.task.new_events():
        on_event({**event, "cell": here.cell.name})
    if ended:
        here.task.end()
    return ended


def _report_finished(cell: P, seconds: float, on_event: OnEvent, on_finished: Callable[[P], None]) -> None:
    figures = {"figures": cell.figures(), "seconds": seconds}
    on_event({"kind": "cell", "state": "finished", "cell": cell.name, **figures})
    on_finished(cell)
