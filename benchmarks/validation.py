"""Measures the validate step on data of the challenge's size: seconds and peak memory, in a process of its own.

    python -m benchmarks.validation --size challenge
    python -m benchmarks.validation --data DIR

The bound that the design sets: 3.6 million rows x 100 positions in 2 minutes and 2 GB on 2 cores. Figures are appended,
raw, to benchmarks/results/validation-DATE.json.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from components.storage.files import read_json, write_json

PACKAGES = ("great-expectations", "numpy", "pandas", "pyarrow")


def measure(data: Path, repeats: int) -> dict[str, Any]:
    """Each repeat starts Python anew: importing Great Expectations is part of what a pod waits for."""
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(repeats):
            out = Path(folder, str(repeat))
            command = [sys.executable, "-m", "benchmarks.validation", "--data", str(data), "--once", str(out)]
            started = time.perf_counter()
            subprocess.run(command, check=True)
            runs.append({"seconds": time.perf_counter() - started, **read_json(out / "measured.json")})
        verdict, rows = read_json(out / "verdict.json"), read_json(out / "statistics.json")["rows"]
    return {
        "rows": rows,
        "status": verdict["status"],
        "rules": len(verdict["rules"]),
        "not_measured": sum(bool(rule["not_measured"]) for rule in verdict["rules"]),
        "runs": runs,
    }


def run_once(data: Path, out: Path) -> None:
    from components.errors import StepError
    from components.validate.config import ValidatePolicy
    from components.validate.step import validate

    write_json(out / "champion" / "champion.json", {"version": None})
    try:
        validate(data, out / "champion", ValidatePolicy(), out)
    except StepError as error:
        print(error)
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss * 1024 / 1e6  # Linux counts in KiB
    write_json(out / "measured.json", {"cpu_seconds": used.ru_utime + used.ru_stime, "peak_megabytes": peak})


def record(asked: argparse.Namespace, found: dict[str, Any]) -> None:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    date = time.strftime("%Y-%m-%d")
    entry = {
        "date": date,
        "commit": commit.stdout.strip(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, no GPU",
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
        "data": asked.size or asked.data.name,
        "seed": asked.seed if asked.size else None,
        **found,
    }
    path = Path(__file__).parent / "results" / "validation.json"
    write_json(path, [*(json.loads(path.read_text()) if path.exists() else []), entry])
    print(json.dumps(entry, indent=2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path)
    source.add_argument("--size", choices=["tiny", "sample", "challenge"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="where a made sample stays; found there, it is used again")
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.once:
        run_once(asked.data, asked.once)
    elif asked.data:
        record(asked, measure(asked.data, asked.repeats))
    else:
        with tempfile.TemporaryDirectory() as folder:
            data = asked.keep or Path(folder)
            if not (data / "truth.json").exists():
                make_sample(data, asked.size, asked.seed)
            record(asked, measure(data, asked.repeats))


def make_sample(out: Path, size: str, seed: int) -> None:
    from dataclasses import replace

    from components.dataset.sample.spec import SIZES
    from components.dataset.sample.write import write_sample

    write_sample(out, replace(SIZES[size], seed=seed))


if __name__ == "__main__":
    main()
