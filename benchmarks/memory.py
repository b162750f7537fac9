"""Peak memory of a training process against the number of rows and of items: `python -m benchmarks.memory`.

Rows and the item table are simulated by files that hold nothing but zeros and take no space on disk: what a training
keeps in memory of each row and item does not depend on what the file says. What counts is anonymous memory (`RssAnon`),
which a process needs for itself; pages of mapped files are the kernel's, and go when memory is short. Each size is
measured in a process of its own, from the state after its imports on.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import machine
from benchmarks.training import config_for
from components.batches.convert import HISTORY_TYPE, USER_TYPE, record_type
from components.batches.loader import Collator
from components.batches.rows import RowStore
from components.schema.challenge import CHALLENGE
from components.schema.fitted import FEATURES
from components.storage.files import write_json
from components.storage.verified import made_once
from components.train.job import Job
from components.train.ranks import Ranks
from components.train.sampler import Sampler
from components.train.start import Start
from components.train.worker import build

RESULT = Path("benchmarks/results/memory.json")
ROWS = (10**6, 10**7, 10**8)
ITEMS = (10**5, 10**6, 10**7)
BATCH, STEPS = 1024, 50
MB = 2**20


def of_rows(rows: int) -> dict[str, Any]:
    """An epoch's order and some of its batches."""
    with tempfile.TemporaryDirectory() as folder:
        arrays = {}
        kinds = {"records": np.dtype(record_type(CHALLENGE)), "history": HISTORY_TYPE, "user": USER_TYPE}
        for name, dtype in kinds.items():
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


def of_items(items: int, id_optimizer: str = "adam") -> dict[str, Any]:
    """The item table as a worker opens it, a ranker of small dims, its gradients and the state of its optimizers."""
    config = config_for("small", BATCH, id_optimizer=id_optimizer)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder, "job"), config, "", "", "table", Start("a benchmark"))
        table = Path(folder, "items", job.item_table)
        made_once(table, lambda scratch: _write_table(scratch, items))
        table_mb = sum(path.stat().st_size for path in table.glob("*.npy")) / MB
        with _peak() as megabytes:
            state, optimiser = build(job, Ranks(0, 1, torch.device("cpu")))
            rng = np.random.default_rng(0)
            records = np.zeros(BATCH, record_type(CHALLENGE))
            records["item"], records["start"], records["length"] = rng.integers(1, items, BATCH), 1, 20
            flat = rng.integers(1, items, 21).astype(np.int32)
            store = RowStore(Path(), records, flat, np.zeros(BATCH, np.int64), max_item=items - 1)
            collate = Collator(store, config.model.history_length, state.ranker.vocabulary.items)
            for _ in range(2):
                optimiser.step([collate(np.arange(BATCH))], [[BATCH]])
        return {
            "items": items,
            "id_optimizer": id_optimizer,
            "table_mb": round(table_mb, 1),
            "peak_mb": megabytes(),
            "copied_mb": {name: _copied(value) for name, value in state.ranker.table.state_dict().items()},
        }


def _write_table(folder: Path, items: int) -> None:
    """The files that `prepare_job` writes, but all zero."""
    columns: dict[str, tuple[tuple[int, ...], str]] = {
        "codes": ((items, 7), "<i8"),
        "numbers": ((items, 0), "<f4"),
        "content": ((items, 128), "<f4"),
    }
    columns["seen"] = ((items,), "?")
    write_json(folder / FEATURES, CHALLENGE.to_json())
    for name, (shape, dtype) in columns.items():
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.dtype(dtype), shape)


KINDS: dict[str, Callable[[int], dict[str, Any]]] = {
    "rows": of_rows,
    "items": of_items,
    "items-rowwise": partial(of_items, id_optimizer="rowwise"),
}


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


def _copied(tensor: torch.Tensor) -> float:
    """How much of a tensor's file this process holds as a copy of its own: all of it, if no mapped file lies behind."""
    address, size = tensor.data_ptr(), 0
    inside = mapped = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if not first.endswith(":"):
            start, end = (int(part, 16) for part in first.split("-"))
            inside = start <= address < end
            mapped = mapped or (inside and rest[-1].endswith(".npy"))
        elif inside and first == "Anonymous:":
            size = int(rest[0])
    return round(size / 1024, 1) if mapped else round(tensor.nbytes / MB, 1)


def _anonymous() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def alone(kind: str, size: int) -> dict[str, Any]:
    """One size, measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--one", kind, str(size)]
    measured: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return measured


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
    found: dict[str, list[dict[str, Any]]] = {"rows": [], "items": []}
    for kind, sizes in (("rows", asked.rows), ("items", asked.items), ("items-rowwise", asked.items)):
        for size in sizes:
            measured = alone(kind, size)
            found[kind.partition("-")[0]].append(measured)
            print(kind, measured, flush=True)
    write_json(asked.out, {"machine": machine(), "batch": BATCH, **found})


if __name__ == "__main__":
    main()
