"""results.json: the one file that report and table are made from. It holds no title, picture or text of the data."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from components.settings import config_hash
from components.storage.files import read_json
from studies.engine import Cell, Order, StudyRun
from studies.plan import Arm
from studies.significance import Ranking, compare, holm, mean_over_seeds, ranking, seed_noise, verdict

Json = dict[str, Any]


def results_of(order: Order, outcome: StudyRun) -> Json:
    inputs, study = outcome.inputs, order.study
    finished = [cell for cell in outcome.cells if cell.finished]
    figures = {(cell.arm.name, cell.seed): cell.figures() for cell in finished}
    seeds = sorted({cell.seed for cell in outcome.cells if cell.finished or cell.name in outcome.failed})
    return {
        "study": study.name,
        "title": study.title,
        "question": study.question,
        **when_and_where(list(figures.values())),
        "preset": order.base.preset,
        "overrides": list(order.overrides),
        "seeds": seeds,
        "data": {**inputs.data, "split_note": inputs.split_note},
        "reference": study.reference,
        "views": list(study.views),
        "arms": [_arm(arm, [figures.get((arm.name, seed)) for seed in seeds]) for arm in study.arms],
        "comparisons": comparisons(order, outcome, finished),
        "baselines": inputs.baselines,
        "failed": [
            {"arm": cell.arm.name, "seed": cell.seed, "message": outcome.failed[cell.name]}
            for cell in outcome.cells
            if cell.name in outcome.failed
        ],
    }


def examples_of(outcome: StudyRun) -> list[Json]:
    """Real users' histories, of each arm's first seed. They hold titles and covers: the report alone shows them."""
    found = []
    for cell in outcome.cells:
        if cell.seed == 1 and cell.finished and (cell.folder / "examples.json").is_file():
            found += [{"arm": cell.arm.name, **example} for example in read_json(cell.folder / "examples.json")]
    return found


def comparisons(order: Order, outcome: StudyRun, finished: list[Cell]) -> list[Json]:
    """Every pair of which at least one seed is there on both sides."""
    from components.batches.rows import RowStore

    rows = RowStore.open(Path(outcome.inputs.measured_rows))
    labels, users = rows.label.astype(np.int64), np.asarray(rows.user, dtype=np.int64)
    rankings: dict[str, dict[int, Ranking]] = {}
    for cell in finished:
        scores = np.load(cell.folder / "scores.npy")
        rankings.setdefault(cell.arm.name, {})[cell.seed] = ranking(labels, scores)
    noise = seed_noise({arm: [each.auc for each in by_seed.values()] for arm, by_seed in rankings.items()})
    pairs, found = [], []
    for arm, against in order.study.comparisons():
        ours, theirs = rankings.get(arm, {}), rankings.get(against, {})
        if common := sorted(set(ours) & set(theirs)):
            pairs.append((arm, against))
            of_seeds = [noise[name] for name in (arm, against)] if len(common) > 1 else []
            found.append(compare([ours[s] for s in common], [theirs[s] for s in common], users, of_seeds))
    adjusted = holm([each.p for each in found])
    return [
        {"arm": arm, "against": against, **asdict(each), "p_holm": p_holm, "verdict": verdict(each, p_holm)}
        for (arm, against), each, p_holm in zip(pairs, found, adjusted, strict=True)
    ]


def _arm(arm: Arm, by_seed: Sequence[Json | None]) -> Json:
    """`by_seed` holds None for a seed that failed."""
    there = [found for found in by_seed if found is not None]
    trainings = [found["training"] for found in there]
    summary: Json = {
        "name": arm.name,
        "note": arm.note,
        "paper": arm.paper,
        "factors": arm.factors,
        "config_hash": config_hash(arm.config),
        "parameters": trainings[0]["parameters"] if trainings else None,
        "auc": None,
        "log_loss": _mean([found["log_loss"] for found in there]),
        "grouped_auc": _mean([found["grouped_auc"] for found in there]),
        "valid_auc": _mean([training["valid_auc"] for training in trainings]),
        "seconds": _mean([training["seconds"] for training in trainings]),
        "epochs": _mean([training["epochs"] for training in trainings]),
        "best_epoch": [found["training"]["best_epoch"] if found else None for found in by_seed],
        "slices": {kind: _slices([found["slices"][kind] for found in there]) for kind in ("history", "items")},
        "codes": trainings[0].get("codes") if trainings else None,
        "attention": there[0]["attention"] if there else None,
    }
    if there:
        areas = asdict(mean_over_seeds([found["auc"] for found in there]))
        summary["auc"] = {**areas, "by_seed": [found["auc"] if found else None for found in by_seed]}
    return summary


def _slices(by_seed: list[list[Json]]) -> list[Json]:
    """The rows are the same whatever the seed."""
    slices = []
    for same in zip(*by_seed, strict=True):
        areas = [part["auc"] for part in same]
        known = mean_over_seeds(areas) if None not in areas else None
        mean, sd = (known.mean, known.sd) if known else (None, None)
        slices.append({"name": same[0]["name"], "rows": same[0]["rows"], "auc": mean, "sd": sd})
    return slices


def _mean(values: list[Any]) -> float | None:
    return float(np.mean(values)) if values and None not in values else None


def when_and_where(cells: list[Json]) -> Json:
    from components.dataset.lineage import code_facts

    code = code_facts()
    commit = (code["code_commit"] or "")[:12] or code["image"]
    trained = cells[0]["training"] if cells else {}
    device = trained.get("device", "cpu")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": f"{commit}+" if code["code_changed"] else commit,
        "machine": {
            "cpu": _first("/proc/cpuinfo", "model name") or platform.processor(),
            "cores": os.cpu_count(),
            "memory_gb": round(int((_first("/proc/meminfo", "MemTotal") or "0").split()[0]) / 2**20, 1),
            "gpu": None if device == "cpu" else device,
            "python": platform.python_version(),
            "torch": trained.get("torch"),
        },
    }


def _first(path: str, name: str) -> str:
    """The first value of that name in one of Linux's files; empty elsewhere."""
    lines = Path(path).read_text().splitlines() if Path(path).is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
