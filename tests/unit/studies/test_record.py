"""A study in MLflow: one run and one below it for each cell, once, whatever happens on the way."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.errors import StepError
from components.storage.files import write_json
from components.tracking.runs import PARENT, finished_below, nested_run, run_for
from components.tracking.server import Server, connect
from pipelines.presets import preset
from studies import record as record_module
from studies.engine import Cell, Order, StudyData, StudyRun
from studies.grids import study
from studies.inputs import Inputs
from studies.record import Record

BASE = preset("study")
INPUTS = Inputs("key", "code", "d", "v", "e", "t", "m", "test", "", {}, {})
FIGURES = {
    "auc": 0.8,
    "log_loss": 0.5,
    "grouped_auc": None,
    "split": "test",
    "training": {"training": "abc", "parameters": 10, "seconds": 1.5, "epochs": 2, "best_epoch": 1},
    "curves": [{"epoch": 0, "step": 9, "valid_auc": 0.7}, {"epoch": 1, "step": 18, "valid_auc": 0.75}],
    "slices": {
        "history": [{"name": "50+", "rows": 60, "auc": 0.9}],
        "items": [{"name": "known", "rows": 3, "auc": None}],
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    return connect(f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}")


@pytest.fixture
def order(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Order:
    """Each test has an experiment of its own."""
    monkeypatch.setattr(record_module, "connect", lambda _: server)
    config = replace(BASE, experiment=request.node.name)
    return Order(study("mask", BASE), config, (), StudyData(None, tmp_path, "HEAD"), 1, 1, tmp_path, tmp_path)


@pytest.fixture
def cells(order: Order, tmp_path: Path) -> list[Cell]:
    made = []
    for arm in order.study.arms:
        write_json(tmp_path / arm.name / "cell.json", FIGURES)
        made.append(Cell(arm, 1, arm.config, False, tmp_path / arm.name))
    return made


def runs(server: Server, order: Order) -> list[Any]:
    experiment = server.call("get_experiment_by_name", order.base.experiment)
    return list(server.call("search_runs", [experiment.experiment_id]))


def test_recorded_twice_is_recorded_once(server: Server, order: Order, cells: list[Cell]) -> None:
    for _ in range(2):
        record = Record(order, INPUTS)
        for cell in cells:
            record.add(cell)
        record.conclude(StudyRun(INPUTS, cells, {}), [cells[0].folder / "cell.json"])
        assert record.trouble == ""
    found = runs(server, order)
    assert [run.info.status for run in found] == ["FINISHED"] * 3
    nested = [run for run in found if PARENT in run.data.tags]
    assert {run.data.tags[PARENT] for run in nested} == {record.run.run_id}
    assert sorted(run.data.params["model.mask"] for run in nested) == ["inverted", "right"]
    assert nested[0].data.metrics["test/auc.history.50 or more"] == 0.9
    assert "test/grouped_auc" not in nested[0].data.metrics
    history = server.call("get_metric_history", nested[0].info.run_id, "valid_auc")
    assert [(point.step, point.value) for point in history] == [(9, 0.7), (18, 0.75)]


def test_a_study_with_a_failed_cell_is_a_failed_run(server: Server, order: Order, cells: list[Cell]) -> None:
    record = Record(order, INPUTS)
    record.conclude(StudyRun(INPUTS, cells, {"right, seed 1": "full disk"}), [])
    assert [run.info.status for run in runs(server, order)] == ["FAILED"]


def test_a_server_that_fails_midway_costs_no_cell(
    server: Server, order: Order, cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Record(order, INPUTS)
    record.add(cells[0])
    with monkeypatch.context() as patch:
        patch.setattr(record_module, "nested_run", broken("the server does not answer"))
        record.add(cells[1])
    assert record.trouble == "the server does not answer"
    record.conclude(StudyRun(INPUTS, cells, {}), [])
    assert len(runs(server, order)) == 2
    again = Record(order, INPUTS)
    for cell in cells:
        again.add(cell)
    assert len(runs(server, order)) == 3


def broken(message: str) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise StepError(message)

    return fail


def test_a_run_that_was_broken_off_is_completed(server: Server, order: Order, cells: list[Cell]) -> None:
    record = Record(order, INPUTS)
    name = f"{record.name} {cells[0].name} {cells[0].folder.name[:12]}"
    nested_run(record.run, name).log_metrics({"test/auc": 0.8})
    assert finished_below(record.run) == set()
    record.add(cells[0])
    assert finished_below(record.run) == {name}
    assert len(runs(server, order)) == 2


def test_a_nested_run_stays_below_its_parent_under_a_backends_own_run(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = run_for("parent", "nested", server)
    monkeypatch.setenv("MLFLOW_RUN_ID", parent.run_id)
    child = nested_run(run_for("parent", "nested", server), "child")
    assert child.run_id != parent.run_id
    assert child.tags()[PARENT] == parent.run_id
    assert nested_run(parent, "child").run_id == child.run_id
    with pytest.raises(StepError, match="must be a name without quotes"):
        nested_run(parent, "it's")
