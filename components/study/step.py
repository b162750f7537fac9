"""A study from beginning to end: cells, record, results, report."""

from importlib.util import find_spec
from pathlib import Path

from components.files import write_json
from components.study.engine import OnEvent, Order, Outcome, cells_of, prepare_inputs, run_cells
from components.study.record import Record
from components.study.results import examples_of, results_of


def run_study(order: Order, on_event: OnEvent) -> Outcome:
    """Makes what is missing, and writes results.json, report.html and table.md from all of it."""
    inputs = prepare_inputs(order, on_event)
    cells = cells_of(order, inputs)
    record = Record(order, inputs)
    finished = [cell for cell in cells if cell.finished]
    waiting = [cell for cell in cells if cell not in finished]
    on_event({"kind": "cells", "total": len(cells), "finished": len(finished)})
    for cell in finished:
        record.add(cell)
    failed = run_cells(waiting, inputs, order.jobs, on_event, record.add)
    outcome = Outcome(inputs, cells, failed)
    write_study(order, outcome)
    record.conclude(outcome, sorted(order.out.iterdir()))
    if record.trouble:
        on_event({"kind": "untracked", "cause": record.trouble})
    return outcome


def write_study(order: Order, outcome: Outcome) -> Path:
    results = results_of(order, outcome)
    write_json(order.out / "results.json", results)
    if find_spec("components.study.report"):
        from components.study.report import write_report

        write_report(results, examples_of(outcome), order.out)
    return order.out
