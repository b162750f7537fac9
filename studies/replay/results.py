"""results.json of a replay: the one file that its page is made from. It holds no title, picture or text of the data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.statistics.auc import Floats
from components.statistics.intervals import difference_by_user
from components.storage.files import read_json
from studies.replay.advice import advise
from studies.replay.ageing import Served, ageing, judged
from studies.replay.chain import Chain
from studies.replay.figures import CONFIDENCE, DayRows, by_item_age, calibration, day_auc, day_rows, finite, pooled
from studies.replay.night import NightPlan, date_of
from studies.replay.play import Stage
from studies.replay.prepare import ReplayInputs
from studies.replay.retrain import Bench
from studies.replay.timeline import Timeline
from studies.results import when_and_where

Json = dict[str, Any]


class Days:
    """The rows of each day, and what each policy served on it."""

    def __init__(self, stage: Stage) -> None:
        seen = stage.timeline.first_seen()
        stretch = stage.plan.stretch
        self.rows = [
            day_rows(stage.night(number), seen, cutoff, stretch) for number, cutoff in enumerate(stage.cutoffs)
        ]

    def scored(self, cells: Sequence[Path]) -> dict[int, Floats]:
        """The scores of what served, by night."""
        files = {number: cell / "served.npy" for number, cell in enumerate(cells)}
        return {number: np.load(file) for number, file in files.items() if file.is_file()}


def results_of(
    plan: NightPlan,
    chains: Sequence[Chain],
    inputs: ReplayInputs,
    failed: dict[str, str],
    overrides: Sequence[str] = (),
) -> Json:
    config, cache = chains[0].config, chains[0].cache
    stage = Stage(Bench(cache, config), Timeline(Path(inputs.timeline)), plan, tuple(inputs.cutoffs))
    days = Days(stage)
    cells = {chain.name: chain.nights() for chain in chains if chain.nights()}
    scores = {name: days.scored(found) for name, found in cells.items()}
    nights = {name: [_night(days, number, cell) for number, cell in enumerate(found)] for name, found in cells.items()}
    policies = [_policy(name, nights[name], days, scores[name], config.evaluate.calibration_bins) for name in cells]
    _compare(policies, days, scores)
    reference = _add_gains(policies, days, scores)
    return {
        "kind": "replay",
        **when_and_where([]),
        "preset": config.preset,
        "overrides": list(overrides),
        "seed": config.train.seed,
        "data": inputs.data,
        "plan": {"nights": plan.nights, "every": plan.every, "window": plan.window},
        "nights": [_day(days.rows[number], number, cutoff) for number, cutoff in enumerate(inputs.cutoffs)],
        "policies": policies,
        "reference": reference,
        "advice": advise(policies),
        "gate": [line for name, found in cells.items() for line in _stopped(name, found, days)],
        "ageing": ageing(days.rows, _served(cells, scores, plan.nights), plan.every),
        "truth": inputs.truth,
        "failed": [{"policy": name, "message": message} for name, message in failed.items()],
    }


def _day(rows: DayRows, number: int, cutoff: int) -> Json:
    groups = {name: int(mask.sum()) for name, mask in rows.groups().items()}
    clicks = int(rows.labels.sum())
    return {"night": number, "date": date_of(cutoff), "rows": len(rows.labels), "clicks": clicks, "items": groups}


def _night(days: Days, number: int, cell: Path) -> Json:
    about = read_json(cell / "cell.json")
    rows, verdict, file = days.rows[number], about["verdict"], cell / "served.npy"
    scores = np.load(file) if file.is_file() else None
    auc = None if scores is None else day_auc(rows, scores)
    served = about["served_night"]
    return {
        "night": number,
        "action": about["action"],
        "trained": about["trained"],
        "reason": about["reason"],
        "stopped": about["stopped"],
        "promoted": about["promoted"],
        "refused": None if verdict is None or verdict["passed"] else verdict["summary"],
        "serves_from": served,
        "unknown_rows": about["served"].get("unknown_rows"),
        "auc": None if auc is None else finite(auc),
        "cpu_seconds": about["cost"],
    }


def _policy(name: str, nights: list[Json], days: Days, scores: dict[int, Floats], bins: int) -> Json:
    numbers = sorted(scores)
    rows, given = [days.rows[n] for n in numbers], [scores[n] for n in numbers]
    for number in numbers:
        nights[number] |= {
            field: value
            for field, value in calibration([days.rows[number]], [scores[number]], bins).items()
            if field in ("log_loss", "calibration_error", "by_chance")
        }
    whole = pooled(rows, given) if numbers else None
    cost: dict[str, float] = {}
    for night in nights:
        for work, seconds in night["cpu_seconds"].items():
            cost[work] = cost.get(work, 0.0) + seconds
    return {
        "name": name,
        "auc": None if whole is None else finite(whole.estimate()),
        **(calibration(rows, given, bins) if numbers else {}),
        "cpu_seconds": cost,
        "cpu_minutes": sum(cost.values()) / 60 / max(1, len(nights)),
        "trained": sum(night["trained"] for night in nights),
        "promoted": sum(night["promoted"] for night in nights),
        "refused": sum(night["refused"] is not None for night in nights),
        "stopped": sum(bool(night["stopped"]) for night in nights),
        "items": by_item_age(rows, given) if numbers else [],
        "nights": nights,
    }


def _compare(policies: list[Json], days: Days, scores: dict[str, dict[int, Floats]]) -> None:
    """Adds to each policy its AUC minus the best one's, on the days on which both served."""
    measured = [policy for policy in policies if policy["auc"] is not None]
    best = max(measured, key=lambda policy: float(policy["auc"]["value"]), default=None)
    for policy in policies:
        policy["difference"] = None
        if best is None or policy["auc"] is None:
            continue
        common = sorted(set(scores[policy["name"]]) & set(scores[best["name"]]))
        rows = [days.rows[n] for n in common]
        ours, theirs = (pooled(rows, [scores[name][n] for n in common]) for name in (policy["name"], best["name"]))
        if ours is not None and theirs is not None:
            policy["difference"] = finite(ours.minus(theirs))


def _add_gains(policies: list[Json], days: Days, scores: dict[str, dict[int, Floats]]) -> str:
    """Adds to each night its AUC minus that of the cheapest policy, whose name is returned."""
    reference = min(policies, key=lambda policy: float(policy["cpu_minutes"]))["name"]
    for policy in policies:
        for night in policy["nights"]:
            number, night["gain"] = night["night"], None
            ours, theirs = (scores[name].get(number) for name in (policy["name"], reference))
            rows = days.rows[number]
            if policy["name"] != reference and ours is not None and theirs is not None and rows.has_both:
                night["gain"] = finite(difference_by_user(rows.labels, ours, theirs, rows.users, CONFIDENCE))
    return str(reference)


def _stopped(name: str, cells: Sequence[Path], days: Days) -> list[Json]:
    """The nights on which the gate or validation kept the champion."""
    found = []
    for number, cell in enumerate(cells):
        about = read_json(cell / "cell.json")
        verdict = about["verdict"]
        line = {"policy": name, "night": number, "gain": None, "judged": "unknown"}
        if about["stopped"]:
            found.append({**line, "by": "validation or a step", "why": about["stopped"]})
        elif verdict is not None and not verdict["passed"]:
            files = [cell / "refused.npy", cell / "served.npy"]
            if all(file.is_file() for file in files):
                line["gain"], line["judged"] = judged(days.rows[number], *(np.load(file) for file in files))
            found.append({**line, "by": "the gate", "why": verdict["summary"]})
    return found


def _served(cells: dict[str, list[Path]], scores: dict[str, dict[int, Floats]], nights: int) -> list[list[Served]]:
    served: list[list[Served]] = [[] for _ in range(nights)]
    for name, found in cells.items():
        actions = [read_json(cell / "cell.json") for cell in found]
        for number, about in enumerate(actions):
            if number in scores[name] and about["served_night"] is not None:
                start = actions[about["served_night"]]["verdict"]["start"]
                key, from_scratch = about["served_key"], start["from"] == "scratch"
                served[number].append(Served(key, about["served_night"], from_scratch, scores[name][number]))
    return served
