"""Peak memory of a training process against the number of rows and of items: `python -m benchmarks.memory`.

Rows are simulated by files that hold nothing but zeros and take no space: what a training keeps in memory of each row
does not depend on what the row says. Items are made up. What counts is anonymous memory (`RssAnon`), which a process
needs for itself; pages of mapped files are the kernel's, and go when memory is short. Each size is measured in a
process of its own, from the state after its imports on.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import machine
from benchmarks.training import config_for
from components.batches.item_table import table_from, vocabulary_of
from components.batches.loader import Collator
from components.batches.rows import FILES, RowStore
from components.storage.files import write_json
from components.train import arithmetic
from components.train.objective import Objective, Optimiser
from components.train.ranks import Ranks
from components.train.sampler import Sampler
from model.ranker import Ranker

RESULT = Path("benchmarks/results/memory.json")
ROWS = (10**6, 10**7, 10**8)
ITEMS = (10**5, 10**6, 3 * 10**6)
BATCH, STEPS = 1024, 50
MB = 2**20


def of_rows(rows: int) -> dict[str, float]:
    """An epoch's order and some of its batches."""
    with tempfile.TemporaryDirectory() as folder:
        arrays = {}
        for name, dtype in FILES.items():
            with Path(folder, name).open("wb") as file:
                file.truncate(rows * dtype.itemsize)
            arrays[name] = np.asarray(np.memmap(Path(folder, name), dtype, mode="r"))
        store = RowStore(Path(folder), arrays["records"], arrays["history"], arrays["user"], max_item=0)
        with _peak() as megabytes:
            sampler, collate = Sampler(rows, BATCH, seed=1), Collator(store, 100, items=1000)
            order = sampler.order(0)
            for step in range(STEPS):
                collate(sampler.share(order, step)[0])
        return {"rows": rows, "peak_mb": megabytes()}


def of_items(items: int) -> dict[str, float]:
    """The item table, a ranker of small dims, its gradients and Adam's state."""
    config = config_for("small", BATCH)
    rng = np.random.default_rng(0)
    with _peak() as megabytes:
        content = rng.standard_normal((items, 128), dtype=np.float32)
        content[0] = 0
        levels = np.zeros(items, dtype=np.int64)
        arrays: dict[str, np.ndarray] = {
            "tags": np.zeros((items, 5), np.int64),
            "content": content,
            "likes": levels,
            "views": levels,
        }
        ranker = Ranker(config.model, vocabulary_of(arrays), table_from(arrays))
        del content, arrays, levels
        objective = Objective(ranker, config.train, Ranks(0, 1, torch.device("cpu"))).train()
        optimiser = Optimiser(objective, arithmetic.optimizers_for(ranker, config.train))
        records = np.zeros(BATCH, FILES["records"])
        records["item"], records["start"], records["length"] = rng.integers(1, items, BATCH), 1, 20
        flat = rng.integers(1, items, 21).astype(np.int32)
        store = RowStore(Path(), records, flat, np.zeros(BATCH, np.int64), max_item=items - 1)
        collate = Collator(store, config.model.history_length, items)
        for _ in range(2):
            optimiser.step([collate(np.arange(BATCH))], [[BATCH]])
    return {"items": items, "table_mb": items * (128 * 4 + 7 * 8 + 1) / MB, "peak_mb": megabytes()}


KINDS: dict[str, Callable[[int], dict[str, float]]] = {"rows": of_rows, "items": of_items}


@contextmanager
def _peak() -> Iterator[Callable[[], float]]:
    """Measures the most anonymous memory in MB beyond what was there before."""
    before, most, stop = _anonymous(), [0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.005):
            most[0] = max(most[0], _anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: round(most[0] - before, 1)
    finally:
        most[0] = max(most[0], _anonymous())
        stop.set()
        watcher.join()


def _anonymous() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=ROWS)
    parser.add_argument("--items", type=int, nargs="*", default=ITEMS)
    parser.add_argument("--one", nargs=2, metavar=("KIND", "SIZE"), help="measure one size and print it")
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    if asked.one:
        kind, size = asked.one
        print(json.dumps(KINDS[kind](int(size))))
        return
    found: dict[str, list[dict[str, float]]] = {}
    for kind, sizes in (("rows", asked.rows), ("items", asked.items)):
        found[kind] = []
        for size in sizes:
            command = [sys.executable, "-m", "benchmarks.memory", "--one", kind, str(size)]
            found[kind].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
            print(kind, found[kind][-1], flush=True)
    write_json(asked.out, {"machine": machine(), "batch": BATCH, **found})


if __name__ == "__main__":
    main()
