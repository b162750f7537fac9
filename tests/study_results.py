"""Made-up results of every study, in the form of results.json, and examples of attention with drawn covers."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

Json = dict[str, Any]
HISTORY = [("0", 12), ("1-4", 812), ("5-9", 1204), ("10-19", 2310), ("20-49", 1930), ("50+", 744)]
ITEMS = [("unseen", 402), ("rare (1-9)", 1630), ("known", 4999)]
STUDIES = ("ablation", "mask", "target-concat", "sequence-length", "alignment", "quantisation", "guidance", "levels")
FACTORS = {"transformer": ("raw", "standardise", "l2", "rmsnorm"), "din": ("raw", "standardise", "l2", "rmsnorm")}


@dataclass(frozen=True)
class Plan:
    """An arm before its numbers: its true AUC, and what results.json tells of it."""

    name: str
    auc: float
    against: str = ""
    note: str = ""
    paper: float | None = None
    factors: tuple[tuple[str, str], ...] = ()


def plans(study: str) -> tuple[list[Plan], str, list[str]]:
    """(arms, reference, views), named as the studies name theirs."""
    if study == "mask":
        return (
            [
                Plan("right", 0.8499, note="Attention sees the real items alone."),
                Plan("inverted", 0.7991, note="As in the released code: padding is read, real items are ignored."),
            ],
            "right",
            ["history"],
        )
    if study == "target-concat":
        return (
            [Plan("with", 0.8499, note="As in the paper."), Plan("without", 0.8491)],
            "with",
            ["attention", "history"],
        )
    if study == "sequence-length":
        arms = [Plan(str(n), 0.84 + 0.004 * k, factors=(("items", str(n)),)) for k, n in enumerate((10, 20, 50, 100))]
        return arms, "100", ["history", "attention"]
    if study == "alignment":
        return _alignment(), "transformer raw linear", ["factors"]
    if study == "guidance":
        names = ("ids and tags", "concat", "init", "align", "distil", "concat + init", "concat + align")
        return [Plan(n, 0.83 + 0.003 * k) for k, n in enumerate(names)], "ids and tags", ["items"]
    if study == "quantisation":
        arms = [Plan("concat", 0.8499), Plan("none", 0.846)]
        for kind in ("residual", "product"):
            for levels in ("2", "4"):
                for size in ("64", "256"):
                    place = (("kind", kind), ("levels", levels), ("codebook", size))
                    arms.append(Plan(f"{kind} {levels} x {size}", 0.844 + 0.002 * int(levels), factors=place))
        return arms, "concat", ["factors", "items"]
    if study == "levels":
        places = ("none", "row only", "target only", "history only", "row and both")
        return [Plan(place, 0.846 + 0.001 * k) for k, place in enumerate(places)], "row only", ["items"]
    return _ablation(), "full", ["paper", "factors", "history"]


def _ablation() -> list[Plan]:
    arms = []
    for name, auc, with_content, without in (
        ("din", 0.8379, 0.8577, 0.9326),
        ("without transformer", 0.8601, 0.9688, 0.9741),
        ("without cross", 0.8458, 0.9632, None),
        ("full", 0.8499, 0.9776, None),
    ):
        place = (("ranker", name), ("content", "with"))
        arms.append(
            Plan(name, auc, paper=with_content, factors=place, note="The organisers' baseline." * (name == "din"))
        )
        arms.append(
            Plan(f"{name} - no content", auc - 0.004, paper=without, factors=(place[0], ("content", "without")))
        )
    arms += [
        Plan(f"k = {k}", 0.845 + 0.001 * i, "k = 16", factors=(("k", str(k)),)) for i, k in enumerate((1, 4, 8, 16))
    ]
    return arms


def _alignment() -> list[Plan]:
    arms = []
    for ranker, norms in FACTORS.items():
        papers = f"{ranker} raw linear"
        bare = (("ranker", ranker), ("norm", "no content"), ("map", "no content"))
        arms.append(Plan(f"{ranker} - no content", 0.8400, papers, "The bar that content must clear.", factors=bare))
        for n, norm in enumerate(norms):
            for m, kind in enumerate(("none", "linear", "gated-mlp")):
                auc = 0.834 + 0.006 * (ranker == "transformer") + 0.003 * n + 0.001 * m
                place = (("ranker", ranker), ("norm", norm), ("map", kind))
                arms.append(Plan(f"{ranker} {norm} {kind}", auc, papers, factors=place))
    return arms


def results(study: str, seeds: int = 3, noise: float = 0.0012, used: int = 40_000) -> Json:
    """As the engine writes it, from a generator with a fixed start."""
    rng = np.random.default_rng(7)
    arms, reference, views = plans(study)
    cells = {plan.name: [plan.auc + noise * float(rng.normal()) for _ in range(seeds)] for plan in arms}
    further = []
    if study == "alignment":
        further = [
            (p.name, "din - no content")
            for p in arms
            if p.name.startswith("din ") and p.name not in ("din raw linear", "din - no content")
        ]
    if study == "ablation":
        further = [(p.name, f"{p.name} - no content") for p in arms[:6:2]]
    pairs = [(p.name, p.against or reference) for p in arms if p.name not in (reference, p.against)]
    return {
        "study": study,
        "title": f"The study of {study}",
        "question": "What does it lose, and on which histories?",
        "date": "2026-11-20",
        "commit": "0bdaf99",
        "preset": "study",
        "overrides": ["train.max_epochs=4"],
        "machine": {
            "cpu": "AMD EPYC",
            "cores": 2,
            "memory_gb": 23.5,
            "gpu": None,
            "torch": "2.13.0+cpu",
            "python": "3.11.9",
            "load_average": 2.1,
        },
        "seeds": list(range(1, seeds + 1)),
        "data": {
            "name": "movielens-100k",
            "sha256": "ab" * 32,
            "items": 1682,
            "split": "test",
            "source": "a folder",
            "rows": {"train": 80_000, "used": used, "valid": 7000, "test": 7031},
        },
        "reference": reference,
        "views": views,
        "arms": [_arm(plan, cells[plan.name], rng, views) for plan in arms],
        "comparisons": [_comparison(cells, arm, against, noise) for arm, against in [*pairs, *further]],
        "baselines": {"item_click_rate": 0.6578, "oracle": None},
        "failed": [],
    }


def _arm(plan: Plan, cells: list[float], rng: np.random.Generator, views: list[str]) -> Json:
    mean, many = float(np.mean(cells)), len(cells) > 1
    sd = float(np.std(cells, ddof=1)) if many else None
    reach = 0.0 if sd is None else 2.5 * sd
    return {
        "name": plan.name,
        "note": plan.note,
        "paper": plan.paper,
        "factors": dict(plan.factors),
        "parameters": int(rng.integers(200_000, 900_000)),
        "config_hash": "cd" * 16,
        "auc": {
            "mean": mean,
            "sd": sd,
            "low": mean - reach if many else None,
            "high": mean + reach if many else None,
            "by_seed": cells,
        },
        "log_loss": 0.41,
        "grouped_auc": mean - 0.05,
        "valid_auc": mean + 0.002,
        "seconds": float(rng.uniform(40, 900)),
        "epochs": 3.7,
        "best_epoch": [2] * len(cells),
        "slices": {
            kind: [_slice(name, rows, mean + rng.normal(0, 0.02), rows >= 50, many) for name, rows in parts]
            for kind, parts in (("history", HISTORY), ("items", ITEMS))
        },
        "codes": {
            "error": [0.6, 0.41, 0.3, 0.24],
            "utilisation": [1.0, 1.0, 0.98, 0.97],
            "distinct": 1500,
            "fitted": 1600,
        }
        if " x " in plan.name
        else None,
        "attention": _attention(plan) if "attention" in views else None,
    }


def _slice(name: str, rows: int, auc: float, measured: bool, many: bool) -> Json:
    return {
        "name": name,
        "rows": rows,
        "auc": float(auc) if measured else None,
        "sd": 0.004 if measured and many else None,
    }


def _comparison(cells: dict[str, list[float]], arm: str, against: str, noise: float) -> Json:
    difference = float(np.mean(cells[arm]) - np.mean(cells[against]))
    reach = 2.2 * noise
    verdict = "better" if difference > reach else "worse" if difference < -reach else "inconclusive"
    p = float(np.exp(-2 * abs(difference) / noise))
    return {
        "arm": arm,
        "against": against,
        "difference": difference,
        "low": difference - reach,
        "high": difference + reach,
        "p": p,
        "p_holm": min(1.0, 4 * p),
        "verdict": verdict,
    }


def _attention(plan: Plan) -> Json:
    layers = [
        {
            "kind": "transformer",
            "name": f"layer {n}",
            "entropy_bits": 3.9 - 0.4 * n,
            "entropy_share": 0.95 - 0.1 * n,
            "same_tag_attention": 0.35 + 0.03 * n,
            "same_tag_items": 0.33,
            "same_tag_rows": 1700,
            "newest_quarter": 0.26 + 0.05 * n,
            "oldest_quarter": 0.25 - 0.05 * n,
            "quarter_items": 0.258,
            "on_padding": 0.0,
            "largest_on_padding": 0.0,
        }
        for n in (1, 2)
    ]
    return {
        "rows": 2000,
        "eligible_rows": 7012,
        "mean_items": 18.2,
        "same_tag_rows": 1700,
        "largest_on_padding": 0.0,
        "layers": layers if plan.name != "10" else layers[:1],
    }


TITLES = (
    "Lantern Street",
    "The Seventh Harbour and Other Stories of the Sea (1987)",
    "Blue Hour",
    "Nine Miles of Rain",
    "A Quiet <b>Machine</b>",
    "Tin Orchard",
    "Low Tide",
    "",
)


def examples(arms: list[str], items: int = 20, rows: int = 3) -> list[Json]:
    """The same rows for every arm, each with its own weights."""
    rng = np.random.default_rng(3)
    found = []
    for row in range(rows):
        cards = [_card(item, rng) for item in range(row * items + 1, (row + 1) * items + 2)]
        for arm in arms:
            scores = rng.normal(0, 1.6, (items, items))
            lines = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
            weights = [
                {
                    **card,
                    "shares_tag": bool(k % 3 == 0),
                    "weight": round(float(lines[:, k].mean()), 5),
                    "newest_query": round(float(lines[-1, k]), 5),
                }
                for k, card in enumerate(cards[:-1])
            ]
            found.append(
                {
                    "arm": arm,
                    "row": 100 + row,
                    "label": 1,
                    "layer": "layer 2",
                    "length": items,
                    "older": 0.0,
                    "padding": 0.0,
                    "target": cards[-1],
                    "items": weights,
                    "map": [[round(float(w), 5) for w in line] for line in lines],
                }
            )
    return found


def _card(item: int, rng: np.random.Generator) -> Json:
    if item % 7 == 0:
        return {"item": item, "title": TITLES[item % len(TITLES)], "cover": None}
    pixels = (rng.uniform(40, 200, 3) + np.linspace(0, 50, 96)[:, None, None] + np.zeros((96, 96, 3))).astype(np.uint8)
    jpeg = io.BytesIO()
    Image.fromarray(pixels).save(jpeg, "JPEG", quality=72)
    data = base64.b64encode(jpeg.getvalue()).decode("ascii")
    return {"item": item, "title": TITLES[item % len(TITLES)], "cover": f"data:image/jpeg;base64,{data}"}
