"""Measures the embedding step: its speed compared with the bare encoder, with an empty and a full cache, and how much
its vectors tell about genres.

    python -m benchmarks.embedding speed --items 1000 python -m benchmarks.embedding genres --dataset data/movielens
    --labels path/to/items.csv

Figures are appended, raw, to benchmarks/results/embedding-DATE.json. `genres` asks how well a linear classifier reads
an item's genres off its vector (one against the rest, 5 folds, mean AUC): a broken encoder shows as one near 0.5.
"""

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.dataset.pictures import read_picture
from components.embed.config import EmbedConfig
from components.embed.item_inputs import read_items
from components.embed.registry import REGISTRY, TextPreprocessing
from components.embed.step import embed
from components.embed.weights import fetch
from components.storage.files import write_json

if TYPE_CHECKING:
    from components.embed.runtime import Runtime

NOBODY = Path("no-champion")


def measure_speed(items: int, repeats: int, seed: int) -> dict[str, Any]:
    """Bare encoder and step take turns, so that a busy machine slows both; the best of each counts.

    On a machine that others use, the share by CPU time is the one to trust: waiting for a core does not count in it.
    """
    from components.dataset.sample import SampleSpec, write_sample

    config = EmbedConfig()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        write_sample(data, SampleSpec(items=items, train_rows=4 * items, valid_rows=400, test_rows=400, seed=seed))
        loops = {"text": _bare_text(data, config), "image": _bare_image(data, config)}
        bare: dict[str, list[dict[str, float]]] = {"text": [], "image": []}
        runs: list[dict[str, Any]] = []
        for repeat in range(repeats):
            for modality, loop in loops.items():
                bare[modality].append(loop())
            cache = Path(folder, f"cache-{repeat}")
            cold, cold_cpu, manifest = _cpu_timed(lambda c=cache: embed(data, NOBODY, config, c, Path(folder, "out")))  # type: ignore[misc]
            warm, warm_cpu, again = _cpu_timed(lambda c=cache: embed(data, NOBODY, config, c, Path(folder, "out")))  # type: ignore[misc]
            assert all(again["cache"][m]["encoded"] == 0 for m in loops)
            counts = manifest["cache"]
            runs.append(
                {
                    "cold_seconds": cold,
                    "warm_seconds": warm,
                    "cold_cpu_seconds": cold_cpu,
                    "warm_cpu_seconds": warm_cpu,
                    "items_per_second": {
                        m: count["encoded"] / (count["seconds"] - count["load_seconds"]) for m, count in counts.items()
                    },
                    "items_per_cpu_second": {m: count["encoded"] / count["cpu_seconds"] for m, count in counts.items()},
                }
            )
    best = {m: max(max(one["plain"], one["side by side"]) for one in bare[m]) for m in bare}
    step = {m: max(run["items_per_second"][m] for run in runs) for m in bare}
    bare_cpu = {m: max(one["a CPU second"] for one in bare[m]) for m in bare}
    step_cpu = {m: max(run["items_per_cpu_second"][m] for run in runs) for m in bare}
    return {
        "items": items,
        "bare": bare,
        "runs": runs,
        "step_share_of_bare": {m: step[m] / best[m] for m in bare},
        "step_share_of_bare_by_cpu_time": {m: step_cpu[m] / bare_cpu[m] for m in bare},
        "cold_over_warm": _least(runs, "cold_seconds") / _least(runs, "warm_seconds"),
        "cold_over_warm_by_cpu_time": _least(runs, "cold_cpu_seconds") / _least(runs, "warm_cpu_seconds"),
    }


def _least(runs: list[dict[str, Any]], name: str) -> float:
    return float(min(run[name] for run in runs))


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def _cpu_timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    cpu = time.process_time()
    seconds, result = _timed(work)
    return seconds, time.process_time() - cpu, result


def _bare_text(data: Path, config: EmbedConfig) -> Callable[[], dict[str, float]]:
    """The network alone, on tensors made before the clock starts."""
    import torch

    from components.embed.runtime import runtime
    from components.embed.text import TextEncoder

    spec = REGISTRY["minilm"]
    assert isinstance(spec.preprocessing, TextPreprocessing)
    encoder = TextEncoder(fetch(spec, "", "", data), spec.preprocessing, runtime(config), config.text_batch)
    texts = list(dict.fromkeys(read_items(data, config).texts))
    prepared = []
    for batch in encoder.batches(texts):
        ids = torch.full((config.text_batch, batch.length), 0)
        for row, own in enumerate(batch.tokens):
            ids[row, : len(own)] = torch.tensor(own)
        prepared.append((ids, (ids != 0).long()))
    return lambda: _rates(lambda tensors: encoder.embed(*tensors), prepared, len(texts) / len(prepared), encoder.where)


def _bare_image(data: Path, config: EmbedConfig) -> Callable[[], dict[str, float]]:
    from components.embed.runtime import runtime
    from components.embed.vision import ImageEncoder

    spec = REGISTRY["efficientnet-lite0"]
    encoder = ImageEncoder(fetch(spec, "", "", data), spec, runtime(config), config.image_batch)
    items = read_items(data, config)
    prepared = []
    for at in range(0, 128, config.image_batch):
        batch = items.ids[at : at + config.image_batch]
        some = [read_picture(items.images.read(item), encoder.size, config.pixel_limit).pixels for item in batch]
        prepared.append(encoder.prepare(np.stack([one for one in some if one is not None])))
    return lambda: _rates(encoder.embed, prepared, config.image_batch, encoder.where)


def _rates(
    forward: Callable[[Any], Any], batches: list[Any], items_a_batch: float, where: "Runtime"
) -> dict[str, float]:
    """Items a second in two kinds of loop: torch's own threads on one batch, and batches side by side."""
    few = batches[
        :: max(len(batches) // 8, 1)
    ]  # torch's threads wait for each other, which takes long on a busy machine
    plain, _ = _timed(lambda: [forward(batch) for batch in few])
    cpu = time.process_time()
    with where.pool() as pool:
        side_by_side, _ = _timed(lambda: list(pool.map(forward, batches)))
    cpu = time.process_time() - cpu
    rates = {"plain": len(few) / plain, "side by side": len(batches) / side_by_side, "a CPU second": len(batches) / cpu}
    return {name: rate * items_a_batch for name, rate in rates.items()}


def measure_genres(dataset: Path, labels: Path | None, cache: Path, least: int) -> dict[str, Any]:
    """AUC by way of fusion; `labels` is a CSV with item_id and genres (a|b), without it the tags are the labels."""
    import pyarrow.parquet as pq

    ids, marks = _labels(dataset, labels, least)
    results: dict[str, Any] = {"labels": marks.shape[1], "items": len(ids)}
    plain = EmbedConfig(bad_input_limit=0.1)
    ways = {
        "text": replace(plain, image_encoder="none"),
        "image": replace(plain, text_encoder="none"),
        **{f"both, {s}": replace(plain, standardise=s) for s in ("modality", "feature", "none")},
        "both, separate-pca": replace(plain, fusion="separate-pca"),
    }
    for name, config in ways.items():
        with tempfile.TemporaryDirectory() as out:
            manifest = embed(dataset, NOBODY, config, cache, Path(out))
            column = pq.read_table(Path(out, "item_info.parquet")).column("item_emb_d128")
        vectors = np.array(column.to_pylist(), dtype=np.float32)[ids]
        results[name] = {
            "auc": _linear_auc(vectors, marks),
            "explained_variance": manifest["projection"]["explained_variance"],
            "neighbours": manifest["neighbours"],
        }
    shuffled = np.random.default_rng(0).permutation(vectors)
    return {**results, "shuffled": {"auc": _linear_auc(shuffled, marks)}}


def _labels(dataset: Path, labels: Path | None, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids, and a column of marks for each label that at least `least` items have."""
    import csv

    if labels is None:
        items = read_items(dataset, EmbedConfig())
        named = {item: {str(tag) for tag in tags if tag} for item, tags in zip(items.ids, items.tags, strict=True)}
    else:
        with labels.open(newline="") as file:
            named = {int(row["item_id"]): set(row["genres"].split("|")) - {""} for row in csv.DictReader(file)}
    ids = np.array(sorted(named))
    names = sorted(set().union(*named.values()))
    marks = np.array([[name in named[int(item)] for name in names] for item in ids])
    return ids, marks[:, marks.sum(0) >= least]


def _linear_auc(vectors: np.ndarray, marks: np.ndarray) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    areas = []
    for mark in marks.T:
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        scores = cross_val_predict(classifier, vectors, mark, cv=folds, method="decision_function")
        areas.append(roc_auc_score(mark, scores))
    return float(np.mean(areas))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    speed = commands.add_parser("speed")
    speed.add_argument("--items", type=int, default=1000)
    speed.add_argument("--repeats", type=int, default=3)
    speed.add_argument("--seed", type=int, default=1)
    genres = commands.add_parser("genres")
    genres.add_argument("--dataset", type=Path, required=True)
    genres.add_argument("--labels", type=Path)
    genres.add_argument("--cache", type=Path, default=Path(".mmctr/cache/embeddings"))
    genres.add_argument("--least", type=int, default=20)
    asked = parser.parse_args()
    if asked.command == "speed":
        found = measure_speed(asked.items, asked.repeats, asked.seed)
    else:
        found = measure_genres(asked.dataset, asked.labels, asked.cache, asked.least)
    _record(asked.command, found)


def _record(command: str, found: dict[str, Any]) -> None:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    date = time.strftime("%Y-%m-%d")
    machine = f"{os.cpu_count()} cores, {platform.machine()}, no GPU"
    entry = {
        "command": command,
        "date": date,
        "commit": commit.stdout.strip(),
        "machine": machine,
        "threads": os.environ.get("OMP_NUM_THREADS", "torch's own"),
        "load_average": os.getloadavg(),
        **found,
    }
    path = Path(__file__).parent / "results" / "embedding.json"
    write_json(path, [*(json.loads(path.read_text()) if path.exists() else []), entry])
    print(json.dumps(entry, indent=2))


if __name__ == "__main__":
    main()
