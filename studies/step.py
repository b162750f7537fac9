"""A study from beginning to end: cells, record, results, report."""

from pathlib import Path

from components.storage.files import write_json
from studies.engine import Cell, OnEvent, Order, StudyRun, cells_of, prepare_inputs, run_cells
from studies.record import Record
from studies.report import write_report
from studies.results import examples_of, results_of


def run_study(order: Order, on_event: OnEvent) -> StudyRun:
    """Makes what is missing, and writes results.json, report.html and table.md: after every seed, and when stopped."""
    inputs = prepare_inputs(order, on_event)
    cells = cells_of(order, inputs)
    record = Record(order, inputs)
    finished = [cell for cell in cells if cell.finished]
    waiting = [cell for cell in cells if cell not in finished]
    on_event({"kind": "cells", "total": len(cells), "finished": len(finished)})

    def on_finished(cell: Cell) -> None:
        record.add(cell)
        missing = {other.seed for other in cells if not other.finished}
        if missing and cell.seed not in missing:
            write_study(order, StudyRun(inputs, cells, {}))

    for cell in finished:
        record.add(cell)
    try:
        failed = run_cells(waiting, inputs, order.jobs, on_event, on_finished)
    except KeyboardInterrupt:
        if any(cell.finished for cell in cells):
            write_study(order, StudyRun(inputs, cells, {}))
        raise
    outcome = StudyRun(inputs, cells, failed)
    record.conclude(outcome, write_study(order, outcome))
    if record.trouble:
        on_event({"kind": "untracked", "cause": record.trouble})
    return outcome


def write_study(order: Order, outcome: StudyRun) -> list[Path]:
    """The files of a study, of which some cells may be missing."""
    results = results_of(order, outcome)
    write_json(order.out / "results.json", results)
    write_report(results, examples_of(outcome), order.out)
    return [order.out / name for name in ("results.json", "table.md", "report.html")]
