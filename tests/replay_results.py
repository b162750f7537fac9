"""Made-up results of a replay, in the form of results.json: 30 nights, four policies, of which one loses with age."""

from datetime import date, timedelta
from typing import Any

import numpy as np

from studies.replay.advice import advise

Json = dict[str, Any]
POLICIES = {"never": 0, "cold nightly": 1, "cold weekly": 7, "drift 0.5": 10}
GROUPS = ("first shown that day", "known for up to 7 nights", "known for longer")


def results(nights: int = 30, refused_on: int = 9, truth: bool = True) -> Json:
    rng = np.random.default_rng(1)
    dates = [f"{date(2026, 6, 11) + timedelta(days=night)}" for night in range(nights)]
    level = 0.84 + 0.01 * rng.standard_normal(nights)
    policies = [_policy(name, every, level, refused_on, rng) for name, every in POLICIES.items()]
    best = max(policies, key=lambda policy: float(policy["auc"]["value"]))
    for policy in policies:
        gap = policy["auc"]["value"] - best["auc"]["value"]
        policy["difference"] = estimate(gap, 0.0 if policy is best else 0.002)
        for night, low in zip(policy["nights"], policies[0]["nights"], strict=True):
            night["gain"] = None
            if policy["name"] != "never":
                night["gain"] = estimate(night["auc"]["value"] - low["auc"]["value"], 0.006)
    ages = [{"age": k, "days": nights - k, **estimate(-0.0012 * k, 0.002)} for k in range(1, nights)]
    gate: list[Json] = [
        {
            "policy": "cold nightly",
            "night": refused_on,
            "by": "the gate",
            "why": "1 of 8 rules failed: “Data is sound”.",
            "gain": estimate(0.0123, 0.003),
            "judged": "wrong",
        },
        {
            "policy": "cold weekly",
            "night": 7,
            "by": "validation or a step",
            "why": "history-filled: " + "too few " * 30,
            "gain": None,
            "judged": "unknown",
        },
    ]
    return {
        "kind": "replay",
        "date": "2026-11-28",
        "commit": "0123456789ab",
        "machine": {"cpu": "AMD EPYC", "cores": 2, "memory_gb": 23.5, "gpu": None, "python": "3.11.7", "torch": None},
        "preset": "sample",
        "overrides": ["train.max_epochs=3"],
        "seed": 1,
        "data": {
            "name": "days",
            "source": "a folder",
            "sha256": "ab" * 32,
            "rows": 96_000,
            "users": 24_000,
            "items": 300,
            "first_day": "2026-06-01",
            "last_day": "2026-07-10",
            "hindsight": {},
        },
        "plan": {"nights": nights, "every": 1, "window": 14},
        "nights": [
            {"night": n, "date": dates[n], "rows": 2400, "clicks": 600, "items": dict.fromkeys(GROUPS, 800)}
            for n in range(nights)
        ],
        "policies": policies,
        "reference": "never",
        "advice": advise(policies),
        "gate": [line for line in gate if line["night"] < nights],
        "ageing": {
            "points": [{"day": 3, "age": 3, "value": -0.004, "error": 0.002}],
            "by_age": ages,
            "loss_a_day": {"value": 0.0012, "low": 0.0009, "high": 0.0015, "days": nights - 1},
        },
        "truth": {
            "first_day": "2026-06-01",
            "shift_day": 26,
            "broken_day": 18,
            "broken_field": "item_seq",
            "policies": {"never": 0.867, "cold weekly": 0.882, "cold nightly": 0.891},
            "best": "cold nightly",
        }
        if truth
        else None,
        "failed": [],
    }


def estimate(value: float, error: float) -> Json:
    return {"value": value, "error": error, "low": value - 1.96 * error, "high": value + 1.96 * error}


def _policy(name: str, every: int, level: Any, refused_on: int, rng: np.random.Generator) -> Json:
    nights: list[Json] = []
    for n, base in enumerate(level):
        trained = n == 0 or bool(every and n % every == 0)
        age = n if not every else n % every
        nights.append(
            {
                "night": n,
                "action": "cold" if trained else "nothing",
                "trained": trained,
                "reason": "",
                "stopped": "",
                "promoted": trained and n != refused_on,
                "refused": "1 of 8 rules failed" if trained and n == refused_on else None,
                "serves_from": n - age,
                "unknown_rows": 40,
                "auc": estimate(float(base - 0.0012 * age + 0.001 * rng.standard_normal()), 0.009),
                "cpu_seconds": {"prepare": 4.0, "train": 30.0, "evaluate": 2.0} if trained else {},
                "log_loss": 0.41,
                "calibration_error": float(0.015 + 0.004 * rng.random()),
                "by_chance": 0.014,
            }
        )
    cost = {
        work: sum(night["cpu_seconds"].get(work, 0.0) for night in nights) for work in ("prepare", "train", "evaluate")
    }
    auc = float(np.mean([night["auc"]["value"] for night in nights]))
    return {
        "name": name,
        "auc": estimate(auc, 0.0016),
        "log_loss": 0.41,
        "calibration_error": 0.0061,
        "by_chance": 0.0034,
        "mean_score": 0.252,
        "click_rate": 0.25,
        "cpu_seconds": cost,
        "cpu_minutes": sum(cost.values()) / 60 / len(nights),
        "trained": sum(night["trained"] for night in nights),
        "promoted": sum(night["promoted"] for night in nights),
        "refused": sum(night["refused"] is not None for night in nights),
        "stopped": 0,
        "items": [
            {"name": group, "rows": 24_000, "auc": estimate(auc - 0.02 * k, 0.004)} for k, group in enumerate(GROUPS)
        ],
        "nights": nights,
    }
