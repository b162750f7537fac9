"""Runs a study: its data once, its cells side by side, and what is finished never again.

Seed 1 of all arms comes first, then seed 2 ...: a study that is stopped early has something to show. A cell that fails
is named and the others go on.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from components.config import RunConfig, to_dict
from components.errors import StepError
from components.files import read_json
from components.study.cell import cell_key
from components.study.inputs import Inputs
from components.study.plan import Arm, Study
from components.study.task import Task
from model.checks import at_least

OnEvent = Callable[[dict[str, Any]], None]
_POLL = 0.1  # seconds between looks at the tasks


@dataclass(frozen=True)
class Order:
    """A study as somebody asked for it."""

    study: Study
    base: RunConfig
    overrides: tuple[str, ...]
    seeds: int
    data: Path | None  # a folder; None: the repository's versioned data
    repository: Path
    revision: str
    rows: int | None  # train rows to use; None: all
    jobs: int
    workspace: Path

    def __post_init__(self) -> None:
        at_least("--seeds", self.seeds, 1)
        at_least("--jobs", self.jobs, 1)
        if self.rows is not None:
            at_least("--rows", self.rows, 2)
        if self.data is not None and not self.data.is_dir():
            raise ValueError(f"--data {self.data}: no such folder")
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


@dataclass(frozen=True)
class Outcome:
    inputs: Inputs
    cells: list[Cell]  # all of them, finished or failed
    failed: dict[str, str]  # cell name -> message


def run(order: Order, on_event: OnEvent) -> Outcome:
    """Makes what is missing. Ends its processes when it is interrupted, and then the same call goes on from there."""
    inputs = prepare_inputs(order, on_event)
    cells = cells_of(order, inputs)
    waiting = [cell for cell in cells if not cell.finished]
    on_event({"kind": "cells", "total": len(cells), "finished": len(cells) - len(waiting)})
    return Outcome(inputs, cells, run_cells(waiting, inputs, order.jobs, on_event))


def prepare_inputs(order: Order, on_event: OnEvent) -> Inputs:
    folder = order.workspace / "cache" / "study" / "preparing" / str(time.time_ns())
    answer = folder / "inputs.json"
    request = {
        "config": to_dict(order.base), "data": str(order.data) if order.data else "", "rows": order.rows,
        "repository": str(order.repository), "revision": order.revision, "workspace": str(order.workspace),
        "answer": str(answer),
    }  # fmt: skip
    on_event({"kind": "preparing"})
    task = Task("components.study.inputs", folder, request)
    with _ended([task]):
        while task.status is None:
            _forward(task, "", on_event)
            time.sleep(_POLL)
    if task.status != 0:
        raise StepError(task.failure())
    on_event({"kind": "prepared"})
    return Inputs(**read_json(answer))


def cells_of(order: Order, inputs: Inputs) -> list[Cell]:
    attention = "attention" in order.study.views
    cells = []
    for seed in range(1, order.seeds + 1):
        for arm in order.study.arms:
            config = replace(arm.config, train=replace(arm.config.train, seed=seed))
            key = cell_key(inputs, config, attention)
            cells.append(Cell(arm, seed, config, attention, order.workspace / "cache" / "cells" / key))
    return cells


def run_cells(waiting: list[Cell], inputs: Inputs, jobs: int, on_event: OnEvent) -> dict[str, str]:
    """Runs cells in their order, up to `jobs` at a time. Returns why the failed ones did."""
    left, running, failed = list(waiting), dict[str, tuple[Cell, Task, float]](), dict[str, str]()
    with _ended_all(running):
        while left or running:
            while left and len(running) < jobs:
                cell = left.pop(0)
                if cell.finished:  # two arms may be the same ranker
                    on_event({"kind": "cell", "state": "finished", **_facts(cell, 0.0)})
                elif any(cell.folder == other.folder for other, _, _ in running.values()):
                    left.insert(0, cell)
                    break
                else:
                    running[cell.name] = (cell, _start(cell, inputs), time.monotonic())
                    on_event({"kind": "cell", "state": "started", "cell": cell.name, "arm": cell.arm.name})
            for name, (cell, task, started) in list(running.items()):
                _forward(task, name, on_event)
                if task.status is None:
                    continue
                del running[name]
                if task.status == 0 and cell.finished:
                    on_event({"kind": "cell", "state": "finished", **_facts(cell, time.monotonic() - started)})
                else:
                    failed[name] = task.failure()
                    on_event({"kind": "cell", "state": "failed", "cell": name, "cause": failed[name]})
            time.sleep(_POLL)
    return failed


def _start(cell: Cell, inputs: Inputs) -> Task:
    request = {
        "config": to_dict(cell.config), "inputs": vars(inputs), "attention": cell.attention, "out": str(cell.folder),
    }  # fmt: skip
    return Task("components.study.cell", cell.folder, request)


def _facts(cell: Cell, seconds: float) -> dict[str, Any]:
    return {"cell": cell.name, "arm": cell.arm.name, "auc": cell.figures()["auc"], "seconds": seconds}


def _forward(task: Task, name: str, on_event: OnEvent) -> None:
    for event in task.new_events():
        on_event({**event, "cell": name})


@contextmanager
def _ended(tasks: list[Task]) -> Iterator[None]:
    """However this block is left, none of its processes outlives it."""
    try:
        yield
    finally:
        for task in tasks:
            if task.status is None:
                task.end()


@contextmanager
def _ended_all(running: dict[str, tuple[Cell, Task, float]]) -> Iterator[None]:
    try:
        yield
    finally:
        with _ended([task for _, task, _ in running.values()]):
            pass
