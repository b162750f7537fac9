"""What each ranker reaches on MovieLens 100K in the challenge's form. The files are the user's own; none is kept here.

    python -m benchmarks.movielens data    --source MOVIELENS --work W     import, and embed titles and posters
    python -m benchmarks.movielens search  --work W --results R.json --name relu --set model.interest=relu
    python -m benchmarks.movielens report  --work W --results R.json       presets and baselines, on test, three seeds

`search` opens train and valid alone: whatever is chosen by it has never seen test. `report` is run once, at the end.
Every run is appended to the results with its config, so that a table can be made again from them.
"""

import argparse
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.config import RunConfig, config_hash, to_dict, with_overrides
from components.embed.config import EmbedConfig
from components.embed.step import embed
from components.files import read_json, sha256_file, write_json
from components.importers.movielens import movielens
from components.layout import split_path
from components.train.config import TrainConfig
from components.train.rows import RowStore
from components.train.scoring import score
from components.train.step import train
from model import checkpoint, metrics, presets

# One budget for all: what is compared is the ranker, not the patience spent on it.
BUDGET = TrainConfig(batch_size=1024, learning_rate=3e-3, max_epochs=3, patience=2, precision="bfloat16")
HISTORY = 10  # newest items: what lies further back adds 0.002 of valid AUC at most, and two cores are all there is
PRIOR_ROWS = 20.0  # of the item's click rate: how many rows of the average rate each item starts with


def blind(config: RunConfig) -> RunConfig:
    """The same ranker without a history."""
    content = tuple(use for use in config.model.content if use != "similarity")
    return replace(config, model=replace(config.model, interest="none", target_attention="none", content=content))


def run_config(name: str, seed: int, overrides: Iterable[str] = ()) -> RunConfig:
    base, _, variant = name.partition("/")
    model = replace(presets.PRESETS[base]("small"), history_length=HISTORY)
    config = RunConfig(preset=name, model=model, train=replace(BUDGET, seed=seed))
    return with_overrides(blind(config) if variant == "no history" else config, list(overrides))


def make_data(source: Path, work: Path) -> None:
    for line in movielens(source, work / "data").lines:
        print(line)
    write_json(work / "champion" / "champion.json", {"version": None})
    embed(work / "data", work / "champion", EmbedConfig(), work / "vectors", work / "embeddings")
    write_json(work / "validation" / "quarantine.json", {})


def trained(work: Path, config: RunConfig) -> tuple[Path, dict[str, Any]]:
    """The best weights by valid AUC, and how they came about; training stops where it stopped before."""
    out = work / "runs" / config_hash(config)[:12]

    def show(step: int, values: dict[str, float]) -> None:
        if "valid_auc" in values:
            print(f"  {config.preset} seed {config.train.seed} step {step} valid {values['valid_auc']:.4f}", flush=True)

    summary = train(work / "data", work / "validation", work / "embeddings", config, work / "jobs", out, show)
    record = {
        "preset": config.preset, "seed": config.train.seed, "config_hash": config_hash(config)[:12],
        "model": to_dict(config.model), "train": to_dict(config.train), "parameters": summary["parameters"],
        "epochs": summary["epochs"], "best_epoch": summary["best_epoch"], "valid_auc": summary["valid_auc"],
        "seconds": summary["seconds"], "train_sha256": sha256_file(split_path(work / "data", "train"))[:12],
        **provenance(),
    }  # fmt: skip
    return out / "model.safetensors", record


def provenance() -> dict[str, Any]:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"), "commit": commit.stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, no GPU, {torch.get_num_threads()} thread",
    }  # fmt: skip


def append(results: Path, section: str, record: dict[str, Any]) -> None:
    kept = read_json(results) if results.is_file() else {"search": [], "report": []}
    kept[section].append(record)
    write_json(results, kept)


def search(work: Path, results: Path, name: str, base: str, seed: int, overrides: list[str]) -> None:
    config = replace(run_config(base, seed, overrides), preset=name)
    _, record = trained(work, config)
    append(results, "search", {**record, "base": base, "overrides": overrides})
    print(f"{name} seed {seed}: valid {record['valid_auc']:.4f} after {record['epochs']} epochs, {record['seconds']} s")


def report(work: Path, results: Path, names: list[str], seeds: list[int]) -> None:
    rows = RowStore.build(split_path(work / "data", "test"), work / "jobs" / "rows")
    scores = {"item CTR": [item_click_rate(work, rows)]}
    append(results, "report", {"preset": "item CTR", "seed": None, **on_test(rows, scores["item CTR"][0])})
    for name in names:
        scores[name] = []
        for seed in seeds:
            path, record = trained(work, run_config(name, seed))
            scores[name].append(score(checkpoint.load(path), rows))
            append(results, "report", {**record, **on_test(rows, scores[name][-1])})
    print(table(rows, scores))


def item_click_rate(work: Path, rows: RowStore) -> np.ndarray[Any, Any]:
    known = RowStore.build(split_path(work / "data", "train"), work / "jobs" / "rows")
    size = max(known.max_item, rows.max_item) + 1
    clicks = np.bincount(known.item, known.label, minlength=size)
    shown = np.bincount(known.item, minlength=size)
    rate: np.ndarray[Any, Any] = (clicks + PRIOR_ROWS * known.label.mean()) / (shown + PRIOR_ROWS)
    return rate[rows.item]


def on_test(rows: RowStore, scores: np.ndarray[Any, Any]) -> dict[str, float]:
    interval = metrics.auc_interval(rows.label, scores)
    return {
        "test_auc": interval.auc, "test_low": interval.low, "test_high": interval.high,
        "test_log_loss": metrics.log_loss(rows.label, scores),
        "test_grouped_auc": metrics.grouped_auc(rows.label, scores, rows.user),
    }  # fmt: skip


def table(rows: RowStore, scores: dict[str, list[np.ndarray[Any, Any]]]) -> str:
    """Mean and deviation over the seeds, the first seed's interval, and the last preset against each, seed by seed."""
    *_, champion = scores
    lines = ["| ranker | test AUC, mean ± sd | first seed, 95% | " + champion + " minus it, 95%, least sure seed |",
             "|---|---|---|---|"]  # fmt: skip
    for name, found in scores.items():
        areas = [metrics.auc(rows.label, one) for one in found]
        first = metrics.auc_interval(rows.label, found[0])
        spread = f" ± {np.std(areas, ddof=1):.4f}" if len(areas) > 1 else ""
        gain = "" if name == champion else _gain(rows, found, scores[champion])
        lines.append(f"| {name} | {np.mean(areas):.4f}{spread} | {first.low:.4f}-{first.high:.4f} | {gain} |")
    return "\n".join(lines)


def _gain(rows: RowStore, first: list[np.ndarray[Any, Any]], second: list[np.ndarray[Any, Any]]) -> str:
    pairs = [metrics.paired_delong(rows.label, first[k % len(first)], one) for k, one in enumerate(second)]
    least = min(pairs, key=lambda pair: pair.difference / pair.standard_error)
    return f"{least.difference:+.4f} ± {1.96 * least.standard_error:.4f}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("data", "search", "report"))
    parser.add_argument("--work", type=Path, required=True, help="a folder outside the repository")
    parser.add_argument("--source", type=Path, help="the folder with ratings.csv, items.csv and posters.tar")
    parser.add_argument("--results", type=Path, help="the JSON file to append to")
    parser.add_argument("--name", default="idea")
    parser.add_argument("--base", default="paper", help="the preset that --set changes")
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="for example model.heads=2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--presets", nargs="+", default=["best/no history", "din", "published", "paper", "best"])
    given = parser.parse_args(arguments)
    if given.command == "data":
        make_data(given.source, given.work)
    elif given.command == "search":
        for seed in given.seeds:
            search(given.work, given.results, given.name, given.base, seed, given.overrides)
    else:
        report(given.work, given.results, given.presets, given.seeds)


if __name__ == "__main__":
    main()
