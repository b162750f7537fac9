"""Measures `mmctr import log` on a generated log: `python -m benchmarks.importing`.

The log has 10 million events of 330,000 visitors and 50,000 items, both with a long tail, ids as texts, one further
column. Three imports, each in a process of its own: a log with labels as Parquet and as CSV, and a log of clicks alone,
for which two negatives a click are drawn (30 million rows). The bound: 2 minutes and 2 GB on 2 cores. On a shared
machine seconds say little, so CPU seconds are measured as well.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from benchmarks.machine import machine
from components.storage.files import read_json, write_json

RESULT = Path("benchmarks/results/importing.json")
SEED = 1
LABELLED = (
    "features: [{name: device, of: row, kind: category}]\nlog: {user: visitor, item: sku, time: at, label: clicked}\n"
)
CASES = {
    "labels, Parquet": ("log.parquet", LABELLED),
    "labels, CSV": ("log.csv", LABELLED),
    "clicks alone, Parquet": ("log.parquet", LABELLED.replace(", label: clicked", "")),
}


def write_log(folder: Path, events: int) -> None:
    rng = np.random.default_rng(SEED)
    visitors, items = max(events // 30, 10), max(events // 200, 20)
    visitor = (rng.pareto(1.2, events) * visitors / 20).astype(np.int64) % visitors
    item = (rng.pareto(1.0, events) * items / 50).astype(np.int64) % items
    table = pa.table(
        {
            "visitor": pc.binary_join_element_wise("u", pa.array(visitor).cast(pa.string()), ""),
            "sku": pc.binary_join_element_wise("sku-", pa.array(item).cast(pa.string()), ""),
            "at": rng.integers(1_700_000_000, 1_700_000_000 + 30 * 86_400, events),
            "clicked": (rng.random(events) < 0.2).astype(np.int8),
            "device": pa.array(["phone", "desktop", "tablet"]).take(rng.integers(0, 3, events)),
        }
    )
    pq.write_table(table, folder / "log.parquet")
    pa_csv.write_csv(table, folder / "log.csv")


def once(log: Path, features: Path, out: Path) -> None:
    from components.dataset.importers import LogImport, import_log

    import_log(LogImport(log, features, out))
    used = resource.getrusage(resource.RUSAGE_SELF)
    measured = {
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss / 1024),
        "rows": sum(read_json(out / "import.json")["rows"].values()),
    }
    write_json(out.parent / "measured.json", measured)


def measure(folder: Path, log: str, features: str) -> dict[str, Any]:
    (folder / "features.yaml").write_text(features)
    given = [folder / log, folder / "features.yaml", folder / "out"]
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "benchmarks.importing", "--once", *map(str, given)], check=True)
    return {"seconds": round(time.perf_counter() - started, 1), **read_json(folder / "measured.json")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--once", nargs=3, type=Path, metavar=("LOG", "FEATURES", "OUT"), help="one import")
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    if asked.once:
        once(*asked.once)
        return
    found = {}
    with tempfile.TemporaryDirectory() as name:
        write_log(Path(name), asked.events)
        for case, (log, features) in CASES.items():
            found[case] = measure(Path(name), log, features)
            print(case, found[case], flush=True)
    write_json(asked.out, {"machine": machine(), "seed": SEED, "events": asked.events, "imports": found})


if __name__ == "__main__":
    main()
