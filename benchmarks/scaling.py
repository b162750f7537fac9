"""What more processes, more rows and larger batches bring.

python -m benchmarks.scaling ranks      one process against two, same global batch
python -m benchmarks.scaling rows       a training step when there are 10,000 rows and when there are 3.6 million
python -m benchmarks.scaling batch      AUC at batch 128 and at 4096, on the sample's world
"""

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine
from benchmarks.rows import write_inputs
from benchmarks.training import RESULTS, config_for, run_one
from components.artifacts import Artifacts
from components.batches.rows import RowStore
from components.batches.scoring import score
from components.dataset.sample import SampleSpec, write_sample
from components.statistics.auc import auc
from components.storage.files import write_json
from components.train.step import train
from model import checkpoint


def measure_ranks(repeats: int) -> None:
    """Wall time, since ranks share it; two ranks have a core each."""
    runs: dict[str, list[dict[str, Any]]] = {"1": [], "2": []}
    with tempfile.TemporaryDirectory() as folder:
        inputs = write_inputs(Path(folder), 60_000, "challenge")
        for repeat in range(repeats):
            for ranks in (1, 2):
                config = config_for("small", 2048, launcher="torchrun", processes=ranks, max_epochs=1)
                config = replace(config, train=replace(config.train, seed=repeat + 1))
                summary = train(inputs, config, Path(folder, "work"), Path(folder, "out"))
                runs[str(ranks)].append(
                    {name: summary[name] for name in ("seconds", "samples_per_second", "valid_auc")}
                )
    write_json(RESULTS / "training-ranks.json", {"machine": machine(), "threads_a_rank": 1, "ranks": runs})
    print({ranks: max(run["samples_per_second"] for run in some) for ranks, some in runs.items()})


def measure_growth(repeats: int) -> None:
    """Each size is trained on in a process of its own, on one thread; taking turns would convert it anew each time."""
    sizes: list[dict[str, Any]] = []
    for rows in (10_000, 100_000, 1_000_000, 3_600_000):
        with tempfile.TemporaryDirectory() as folder:
            write_inputs(Path(folder), rows, "challenge")
            command = [
                sys.executable,
                "-m",
                "benchmarks.training",
                "one",
                "--data",
                folder,
                "--dims",
                "small",
                "--batch",
                "1024",
                "--precision",
                "float32",
            ]
            sizes.append({"rows": rows, "runs": [run_one(command) for _ in range(repeats)]})
        print(rows, [round(run["samples_per_cpu_second"]) for run in sizes[-1]["runs"]], flush=True)
    write_json(RESULTS / "training-growth.json", {"machine": machine(), "threads": 1, "sizes": sizes})


def measure_batch_sizes(rows: int, seeds: int) -> None:
    """Test AUC on sample data for one number of epochs, with and without the batch-size rule of
    docs/explanation/training.md."""
    variants = {
        "128": (128, 1.0),
        "512, rate x 2": (512, 2.0),
        "4096, rate x sqrt(32)": (4096, 32**0.5),
        "4096, same rate": (4096, 1.0),
    }
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in variants}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        write_sample(data, SampleSpec(train_rows=rows, valid_rows=5_000, test_rows=20_000, content="item_info"))
        write_json(data / "quarantine.json", {})
        inputs = Artifacts(dataset=data, validation=data, embeddings=data)
        test = RowStore.build(data / "test.parquet", Path(folder, "rows"))
        for seed in range(1, seeds + 1):
            for name, (batch, factor) in variants.items():
                config = config_for("small", batch, learning_rate=1e-3 * factor, seed=seed, max_epochs=8, patience=8)
                summary = train(inputs, config, Path(folder, "work"), Path(folder, "out"))
                ranker = checkpoint.load(Path(folder, "out", "model.safetensors"), "cpu")
                area = auc(test.label, score(ranker, test))
                runs[name].append({"seed": seed, "test_auc": area, **summary})
                print(name, seed, round(area, 4), summary["best_epoch"], flush=True)
                write_json(RESULTS / "batch-size.json", {"machine": machine(), "rows": rows, "runs": runs})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("ranks").add_argument("--repeats", type=int, default=3)
    commands.add_parser("rows").add_argument("--repeats", type=int, default=3)
    sizes = commands.add_parser("batch")
    sizes.add_argument("--rows", type=int, default=60_000)
    sizes.add_argument("--seeds", type=int, default=2)
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the ranks that are started
    torch.set_num_threads(1)
    if asked.command == "ranks":
        measure_ranks(asked.repeats)
    elif asked.command == "rows":
        measure_growth(asked.repeats)
    else:
        measure_batch_sizes(asked.rows, asked.seeds)


if __name__ == "__main__":
    main()
