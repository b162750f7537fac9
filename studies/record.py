"""A study in MLflow: one run for the study, one below it for each cell. Written once, however often the study runs."""

from typing import Any

from components.errors import StepError
from components.harness import flatten
from components.settings import config_hash, to_dict
from components.storage.files import sha256_json
from components.tracking.runs import TrackedRun, finished_below, nested_run, run_for
from components.tracking.server import connect, tracking_uri
from studies.engine import Cell, Order, StudyRun
from studies.inputs import Inputs


class Record:
    """What MLflow holds of a study. A server that fails costs no cell: the same command writes what is missing."""

    def __init__(self, order: Order, inputs: Inputs) -> None:
        identity = sha256_json([order.study.name, inputs.key, inputs.code, config_hash(order.base)])[:12]
        self.name = f"study-{order.study.name}-{identity}"
        self.run: TrackedRun = run_for(self.name, order.base.experiment, connect(tracking_uri(order.workspace)))
        self.run.set_tags({"mmctr.study": order.study.name, "mmctr.question": order.study.question})
        self.run.log_params(dict(flatten(to_dict(order.base))))
        self._there = finished_below(self.run)
        self.trouble = ""

    def add(self, cell: Cell) -> None:
        """Logs a finished cell, unless its run is there."""
        name = f"{self.name} {cell.name} {cell.folder.name[:12]}"
        if name in self._there or self.trouble:
            return
        try:
            self._log(nested_run(self.run, name), cell)
        except StepError as error:
            self.trouble = str(error)
        else:
            self._there.add(name)

    def conclude(self, outcome: StudyRun, files: list[Any]) -> None:
        if self.trouble:
            return
        try:
            self.run.log_files(files, "study")
            self.run.finish("FAILED" if outcome.failed else "FINISHED")
        except StepError as error:
            self.trouble = str(error)

    def _log(self, run: TrackedRun, cell: Cell) -> None:
        figures = cell.figures()
        training = figures["training"]
        run.set_tags({"mmctr.arm": cell.arm.name, "mmctr.training": training["training"], "mmctr.study": self.name})
        run.log_params(dict(flatten(to_dict(cell.config))))
        for epoch in figures["curves"]:
            row = {name: value for name, value in epoch.items() if name not in ("step", "epoch")}
            run.log_curve(int(epoch["step"]), row)
        numbers = {name: figures[name] for name in ("auc", "log_loss", "grouped_auc")}
        numbers |= {name: training[name] for name in ("parameters", "seconds", "epochs", "best_epoch")}
        for kind, parts in figures["slices"].items():
            numbers |= {f"auc.{kind}.{_plain(part['name'])}": part["auc"] for part in parts}
        run.log_metrics(
            {f"{figures['split']}/{name}": float(value) for name, value in numbers.items() if value is not None}
        )
        run.finish("FINISHED")


def _plain(name: str) -> str:
    """MLflow's metric names hold no brackets or plus signs."""
    return name.replace("(", "").replace(")", "").replace("+", " or more")
