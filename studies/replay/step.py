"""A replay from beginning to end: the chains of its policies, the record in MLflow, results, page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import StepError
from components.run_config import RunConfig
from components.settings import to_dict
from components.storage.files import write_json
from model.checks import at_least
from studies.engine import OnEvent, StudyData, answered, run_cells
from studies.replay.chain import Chain
from studies.replay.night import NightPlan
from studies.replay.policies import Policy
from studies.replay.prepare import ReplayInputs
from studies.replay.record import Record
from studies.replay.report import write_report
from studies.replay.results import results_of


@dataclass(frozen=True)
class ReplayOrder:
    """A replay as somebody asked for it."""

    policies: tuple[Policy, ...]
    plan: NightPlan
    config: RunConfig
    overrides: tuple[str, ...]
    source: StudyData
    jobs: int
    workspace: Path
    out: Path

    def __post_init__(self) -> None:
        at_least("--jobs", self.jobs, 1)


def run_replay(order: ReplayOrder, on_event: OnEvent) -> dict[str, Any]:
    """Plays the nights that are missing, and writes results.json and report.html: at the end, and when stopped."""
    inputs = _prepared(order, on_event)
    cache = order.workspace / "cache"
    chains = [Chain.of(policy, order.plan, order.config, cache, inputs) for policy in order.policies]
    record = Record(order, inputs)
    # The policies that train most begin: the others then find many of their trainings made.
    waiting = sorted((chain for chain in chains if not chain.finished), key=lambda chain: -chain.policy.trainings)
    on_event({"kind": "cells", "total": len(chains), "finished": len(chains) - len(waiting)})
    try:
        failed = run_cells(waiting, inputs, order.jobs, on_event, lambda _: None)
    except KeyboardInterrupt:
        if any(chain.nights() for chain in chains):
            _written(order, chains, inputs, {})
        raise
    if not any(chain.nights() for chain in chains):
        raise StepError("no night was finished: " + "; ".join(f"{name}: {why}" for name, why in failed.items()))
    results = _written(order, chains, inputs, failed)
    record.conclude(results, [order.out / name for name in ("results.json", "report.html")])
    if record.trouble:
        on_event({"kind": "untracked", "cause": record.trouble})
    return results


def _prepared(order: ReplayOrder, on_event: OnEvent) -> ReplayInputs:
    source = order.source
    request = {
        "config": to_dict(order.config),
        "plan": to_dict(order.plan),
        "data": str(source.folder) if source.folder else "",
        "repository": str(source.repository),
        "revision": source.revision,
        "workspace": str(order.workspace),
    }
    inputs = ReplayInputs(**answered("studies.replay.prepare", request, order.workspace, on_event))
    on_event({"kind": "replay data", "data": inputs.data})
    return inputs


def _written(order: ReplayOrder, chains: list[Chain], inputs: ReplayInputs, failed: dict[str, str]) -> dict[str, Any]:
    results = results_of(order.plan, chains, inputs, failed, order.overrides)
    write_json(order.out / "results.json", results)
    write_report(results, order.out / "report.html")
    return results
