"""The benchmark of memory runs, and what a training keeps of each row is what it says."""

import json
import subprocess
import sys
from pathlib import Path


def test_small_sizes(tmp_path: Path) -> None:
    out = tmp_path / "memory.json"
    sizes = ["--rows", "100000", "4000000", "--items", "1000", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "benchmarks.memory", *sizes], check=True, stdout=subprocess.DEVNULL)
    found = json.loads(out.read_text())
    assert found["machine"]["commit"]
    few, many = found["rows"]
    assert many["rows"] == 4_000_000
    assert many["peak_mb"] - few["peak_mb"] > 20, "the order of 4 million rows takes 31 MB"
    assert found["items"][0]["peak_mb"] > found["items"][0]["table_mb"]
