"""One user and 500 candidates: the user's part once, against the plain call that repeats the history for each.

The plain call is timed twice: of the registered model (`mlflow.pyfunc`, 500 raw rows, what a serving team calls) and of
the bare network on tensors that are ready, which is what remains when nothing but the arithmetic counts.

    python -m benchmarks.serving --out benchmarks/results/serving.json

Untrained weights, of a size that makes scores differ, and a made-up catalogue: time does not depend on either. Each
number is the median CPU time of `--repeats` calls after two to warm up, on one thread: other work on the machine
changes it little.
"""

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.machine import machine
from components.batches.scoring import probabilities
from components.dataset.layout import HISTORY, ITEM, LIKES, VIEWS
from components.packages.format import CONFIG, PROGRAM
from components.predict.online import OnlineScorer
from components.register.export import export
from components.storage.files import write_json
from components.tracking.pyfunc import load_model, write_model
from model.config import ModelConfig
from model.items import ItemTable
from model.older_files import challenge_vocabulary
from model.presets import best, din, paper
from model.ranker import Ranker

ITEMS, TAGS, LEVELS, CONTENT = 91_718, 11_740, 11, 128  # the challenge's
CANDIDATES = 500


def rankers() -> dict[str, ModelConfig]:
    """One ranker for each way of reading a history; `relu` is the second place's attention, with a low-rank cross."""
    relu = {"interest": "relu", "cross": "low-rank", "head_widths": (64, 32)}
    made = {f"{name}, small": preset("small") for name, preset in (("best", best), ("paper", paper), ("din", din))}
    made["relu attention, small"] = replace(din("small"), **relu)  # type: ignore[arg-type]
    made["relu attention, challenge"] = replace(din("challenge"), **relu)  # type: ignore[arg-type]
    return {**made, "best, challenge": best("challenge"), "din, challenge": din("challenge")}


def catalogue(seed: int) -> ItemTable:
    random = np.random.default_rng(seed)
    tags, content = random.integers(0, TAGS, (ITEMS, 5)), random.normal(size=(ITEMS, CONTENT)).astype(np.float32)
    levels = random.integers(1, LEVELS, (2, ITEMS))
    for column in (tags, content, levels.T):
        column[0] = 0
    return ItemTable.from_arrays(np.concatenate([tags, levels.T], axis=1), content)


def build(config: ModelConfig, table: ItemTable) -> Ranker:
    torch.manual_seed(1)
    ranker = Ranker(config, challenge_vocabulary(ITEMS, TAGS, LEVELS, CONTENT, tag_width=5), table).eval()
    with torch.no_grad():  # the first embeddings are too small to tell one answer from another
        for name, weight in ranker.named_parameters():
            if weight.dim() == 2 and len(weight) >= LEVELS and "item_encoder" in name:
                weight.normal_(std=0.1)
    return ranker


def registered_model(ranker: Ranker) -> Any:
    """As MLflow loads it from the registry."""
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = Path(scratch) / "package"
        package.mkdir()
        export(ranker, package / PROGRAM)
        write_json(package / CONFIG, {"model": {"history_length": ranker.config.history_length}})
        write_model(package, Path(scratch) / "model")
        return load_model(Path(scratch) / "model")


def seconds(call: Callable[[], object], repeats: int) -> float:
    for _ in range(2):
        call()
    times = []
    for _ in range(repeats):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return statistics.median(times)


def measure(name: str, config: ModelConfig, table: ItemTable, length: int, repeats: int) -> dict[str, Any]:
    ranker, random = build(config, table), np.random.default_rng(length)
    history = random.integers(1, ITEMS, length)
    candidates, likes, views = (random.integers(1, top, CANDIDATES) for top in (ITEMS, LEVELS, LEVELS))
    codes = torch.from_numpy(np.stack([likes, views], axis=1))
    columns = [torch.from_numpy(candidates), codes, torch.zeros(CANDIDATES, 0)]
    history_BL = torch.from_numpy(np.tile(history, (CANDIDATES, 1)))

    def plain() -> Any:
        with torch.inference_mode():
            return torch.sigmoid(ranker(history_BL, *columns)).numpy()

    frame = pd.DataFrame({HISTORY: [history.tolist()] * CANDIDATES, ITEM: candidates, LIKES: likes, VIEWS: views})
    registered = registered_model(ranker)
    started = time.process_time()
    scorer = OnlineScorer(ranker, np.arange(ranker.vocabulary.items) > 0)
    ready = time.process_time() - started

    def once() -> Any:
        features = scorer.features.rows({LIKES: likes, VIEWS: views}, len(candidates))
        return probabilities(scorer.logits(history.tolist(), candidates, *features))

    as_registered = seconds(lambda: registered.predict(frame), repeats)
    before, after = seconds(plain, repeats), seconds(once, repeats)
    difference = np.abs(registered.predict(frame)["probability"].to_numpy() - once()).max()
    return {
        "ranker": name,
        "history": length,
        "candidates": CANDIDATES,
        "registered_ms": round(as_registered * 1e3, 2),
        "network_ms": round(before * 1e3, 2),
        "user_once_ms": round(after * 1e3, 2),
        "speedup_over_registered": round(as_registered / after, 2),
        "speedup_over_network": round(before / after, 2),
        "largest_difference": float(difference),
        "spread_of_scores": float(np.ptp(plain())),
        "ready_s": round(ready, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    table, results = catalogue(given.seed), []
    for name, config in rankers().items():
        for length in (8, 50):
            results.append(measure(name, config, table, length, given.repeats))
            print(json.dumps(results[-1]))
    report = {**machine(), "threads": 1, "seed": given.seed, "repeats": given.repeats, "results": results}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
