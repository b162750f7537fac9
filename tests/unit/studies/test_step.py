"""A study writes its report after each seed and when it is stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.storage.files import write_json
from pipelines.presets import preset
from studies import step
from studies.engine import Cell, Order, StudyData, StudyRun
from studies.grids import study
from studies.inputs import Inputs
from studies.step import run_study

BASE = preset("study")
INPUTS = Inputs("key", "code", "d", "v", "e", "t", "m", "test", "", {}, {})


class NoRecord:
    """A study that nobody tracks."""

    trouble = ""

    def __init__(self, *_: Any) -> None: ...

    def add(self, cell: Cell) -> None: ...

    def conclude(self, *_: Any) -> None: ...


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many cells each report was made from."""
    reports: list[int] = []

    def write(_: Order, outcome: StudyRun) -> list[Path]:
        reports.append(sum(cell.finished for cell in outcome.cells))
        return []

    monkeypatch.setattr(step, "prepare_inputs", lambda *_: INPUTS)
    monkeypatch.setattr(step, "Record", NoRecord)
    monkeypatch.setattr(step, "write_study", write)
    return reports


def work(stop_after: int) -> Callable[..., dict[str, str]]:
    def run_cells(cells: list[Cell], *rest: Any) -> dict[str, str]:
        for number, cell in enumerate(cells):
            if number == stop_after:
                raise KeyboardInterrupt
            write_json(cell.folder / "cell.json", {})
            rest[-1](cell)
        return {}

    return run_cells


@pytest.mark.parametrize(
    ("stop_after", "expected"),
    [
        pytest.param(99, [2, 4, 6], id="after-each-seed"),
        pytest.param(3, [2, 3], id="and-when-stopped"),
        pytest.param(0, [], id="never-an-empty-one"),
    ],
)
def test_a_report_after_each_seed_and_when_stopped(
    stop_after: int, expected: list[int], written: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "run_cells", work(stop_after))
    order = Order(study("mask", BASE), BASE, (), StudyData(None, tmp_path, "HEAD"), 3, 1, tmp_path, tmp_path)
    if stop_after < 6:
        with pytest.raises(KeyboardInterrupt):
            run_study(order, lambda _: None)
    else:
        run_study(order, lambda _: None)
    assert written == expected
