"""The data path alone: from parquet to batches of ids, and how its cost grows with the rows.

    python -m benchmarks.loader --fuxictr F/bin/python      F: see benchmarks/fuxictr/reference.py

Each size is converted and read in a process of its own, whose peak memory is its own too. Rates are samples a second
of CPU time on one thread.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.rows import ITEMS, write_inputs
from components.storage.files import write_json

RESULTS = Path("benchmarks/results/loader.json")
SIZES = (10_000, 100_000, 1_000_000, 3_600_000)
BATCHES = (128, 1024, 8192)
REFERENCE_ROWS = 100_000  # the reference's loader keeps all rows in memory, 104 integers each


def measure(data: Path, seconds: float) -> dict[str, Any]:
    import torch

    from components.batches.grouping import group_costs
    from components.batches.item_table import load_item_table
    from components.batches.loader import Collator
    from components.batches.rows import RowStore
    from components.train.epochs import epoch_batches
    from components.train.sampler import Sampler
    from model import presets
    from model.ranker import Ranker

    cpu, wall = time.process_time(), time.perf_counter()
    store = RowStore.build(data / "dataset" / "train.parquet", data / "rows")
    found: dict[str, Any] = {
        "rows": len(store),
        "conversion_cpu_seconds": time.process_time() - cpu,
        "conversion_wall_seconds": time.perf_counter() - wall,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "bytes_a_row": sum(path.stat().st_size for path in store.folder.iterdir()) / len(store),
    }
    table, vocabulary = load_item_table(data / "embeddings" / "item_info.parquet", data / "dataset")
    with torch.device("meta"):  # only its shape is asked
        ranker = Ranker(presets.paper("challenge"), vocabulary, table.to("meta"))
    collate = Collator(store, 100, ITEMS, group_costs(ranker, "cpu"))
    rates = {}
    for batch in BATCHES:
        rows, epoch, start = 0, 0, time.process_time()
        while time.process_time() - start < seconds:  # small splits are read more than once
            for _, batches in epoch_batches(Sampler(len(store), batch, 1), collate, epoch, 0):
                rows += sum(map(len, batches))
                if time.process_time() - start > seconds:
                    break
            epoch += 1
        rates[str(batch)] = rows / (time.process_time() - start)
    return {**found, "samples_per_cpu_second": rates}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuxictr", help="the interpreter of FuxiCTR's environment")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one, asked.seconds)))
        return
    sizes: list[dict[str, Any]] = []
    reference: list[dict[str, Any]] = []
    for rows in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            write_inputs(Path(folder), rows, "challenge")
            command = [sys.executable, "-m", "benchmarks.loader", "--seconds", str(asked.seconds), "--one", folder]
            repeats = []
            for _ in range(asked.repeats):
                repeats.append(_run(command))
                subprocess.run(["rm", "-rf", str(Path(folder, "rows"))], check=True)  # convert anew
            sizes.append({"rows": rows, "runs": repeats})
            print(rows, repeats[-1], flush=True)
            if asked.fuxictr and rows == REFERENCE_ROWS:
                theirs = [
                    asked.fuxictr,
                    "benchmarks/fuxictr/reference.py",
                    "--data",
                    folder,
                    "--dims",
                    "challenge",
                    "--batch",
                    "1024",
                    "--seconds",
                    str(asked.seconds),
                    "--loader-only",
                ]
                reference = [_run(theirs) for _ in range(asked.repeats)]
                print("reference", reference[-1], flush=True)
    write_json(RESULTS, {"machine": machine(), "threads": 1, "sizes": sizes, "reference": reference})


def _run(command: list[str]) -> dict[str, Any]:
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    if output.returncode:
        raise SystemExit(output.stderr)
    result: dict[str, Any] = json.loads(output.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    main()
