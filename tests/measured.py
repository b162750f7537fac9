"""Measurements as evaluate leaves them, from made-up scores whose quality is chosen. For tests of what comes after."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from components.diagnosis.attention_signs import attention_findings
from components.diagnosis.inputs import input_findings
from components.diagnosis.learning import Rows, learning_findings
from components.evaluate.config import EvaluateConfig
from components.evaluate.measure import Scored, measure
from components.evaluate.slices import content_slices, history_slices, popularity_slices, tag_slices
from components.statistics.auc import Floats


@dataclass(frozen=True)
class World:
    """Noise is what a model does not know of a row's true inclination: the more, the worse it ranks."""

    candidate_noise: float = 0.5
    champion_noise: float | None = 1.0  # None: no model serves yet
    rows: int = 4000
    rows_a_user: int = 4
    seed: int = 1


def measured(world: World | None = None) -> dict[str, Any]:
    world = world or World()
    random = np.random.default_rng(world.seed)
    users, items = np.arange(world.rows) // world.rows_a_user, random.integers(1, 200, world.rows)
    pull, taste = random.normal(size=200), random.normal(size=world.rows)
    labels = (random.random(world.rows) < _rate(pull[items] + 1.2 * taste)).astype(np.int64)

    def scores(noise: float) -> Floats:
        return _rate((pull[items] + 1.2 * taste + noise * random.normal(size=world.rows)) / (1 + noise**2 / 3))

    candidate = scores(world.candidate_noise)
    champion = None if world.champion_noise is None else scores(world.champion_noise)
    tags = np.zeros((200, 5), dtype=np.int64)
    tags[1:, 4] = random.integers(1, 12, 199)
    config = EvaluateConfig()
    slices = [
        *history_slices(random.integers(0, 40, world.rows), config.history_edges),
        *popularity_slices(np.clip(np.round(5.5 + 2 * pull[items]), 1, 10).astype(np.int64)),
        *tag_slices(items, tags, {}, config.top_tags),
        *content_slices(items, np.array([4])),
    ]
    known = None if champion is None else items < 190
    baselines = {"item_click_rate": _rate(pull[items]), "history_blind": _rate(1.1 * pull[items])}
    metrics = measure(Scored(labels, users, items, candidate, champion, known), baselines, slices, config)
    version = None if champion is None else "3"
    metrics["champion"] = {
        "version": version,
        "status": "scored" if version else "none",
        "reason": None,
        "unknown_rows": 0 if known is None else int((~known).sum()),
        "scores": metrics.pop("champion_scores"),
    }
    return metrics | {
        "split": "test",
        "split_note": "The test split, which training never saw.",
        "left_out_rows": 3,
        "oracle": {"auc": 0.87},
        "diagnosis": diagnosed(),
    }


def diagnosed(content_change: float = 0.02) -> dict[str, Any]:
    """A run in which content did harm, and nothing else was wrong."""
    curves = [{"epoch": e, "train_loss": 0.5 - 0.02 * e, "valid_auc": 0.75 - 0.001 * e} for e in range(3)]
    random = np.random.default_rng(2)
    labels = np.arange(800) % 2
    valid, test = (Rows(labels, labels + 1.5 * random.normal(size=800), np.arange(800) // 4) for _ in range(2))
    inputs = {
        "content": {"rows": 1500, "with": 0.75, "without": 0.75 + content_change, "change": content_change},
        "views_level of the row": {"rows": 500, "with": 0.75, "without": 0.7, "change": -0.05},
    }
    findings = [
        *learning_findings(valid, test, "test", curves),
        *input_findings({name: {**found, "error": 0.002} for name, found in inputs.items()}),
        *attention_findings(None),
    ]
    return {"rows": 2500, "findings": [asdict(finding) for finding in findings], "figures": {}}


def unreadable_champion(metrics: dict[str, Any], reason: str) -> dict[str, Any]:
    champion = {"version": "3", "status": "unreadable", "reason": reason, "unknown_rows": 0, "scores": None}
    slices = [{**part, "champion": None, "difference": None} for part in metrics["slices"]]
    return {**metrics, "champion": champion, "comparison": None, "slices": slices}


def checked_data(status: str = "clean") -> dict[str, Any]:
    """A verdict of validate."""
    drift = _rule("likes-drift", "warn", 0.3 if status == "warned" else 0.05, 0.25, "likes levels are as before (PSI)")
    held = _rule("no-nulls", "stop", float(status == "stopped"), 0.0, "no value is missing")
    return {"passed": status != "stopped", "status": status, "rules": [drift, held]}


def _rule(name: str, severity: str, observed: float, limit: float, what: str) -> dict[str, Any]:
    return {
        "name": name,
        "severity": severity,
        "passed": observed <= limit,
        "observed": observed,
        "limit": f"<= {limit:g}",
        "count": 0,
        "examples": [],
        "not_measured": "",
        "what": what,
        "why": "It would mislead.",
        "message": f"{name}: {what}" if observed <= limit else f"{name}: expected that {what}, but it is {observed:g}",
    }


def _rate(logit: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(1.2 - logit)), dtype=np.float64)
