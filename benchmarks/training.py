"""Training speed, compared with FuxiCTR's own training path on the same rows, sizes, batch and thread.

    python -m benchmarks.training compare --fuxictr F/bin/python    both, taking turns
    python -m benchmarks.training gpu                               ours at the challenge's size on one CUDA device

How to make F: benchmarks/fuxictr/reference.py.

Each measurement is a process of its own with one thread. What is compared is samples a second of CPU time: on one
thread that is what a quiet machine's clock would show, and a busy machine disturbs it less. Wall times are kept too.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine
from benchmarks.rows import write_inputs
from components.artifacts import Artifacts
from components.batches.device import pick_device
from components.storage.files import write_json
from components.train import arithmetic, worker
from components.train.config import Recipe, TrainConfig
from components.train.job import Job, prepare_job
from components.train.ranks import Ranks
from model import presets

RESULTS = Path("benchmarks/results")
LENGTHS = ("6", "challenge", "100")
# (dims, global batch): the paper's, and what a laptop trains
CASES = (("small", 1024), ("challenge", 128))
ROWS = 20_000  # each case sees fewer
BF16_PEAK = {"NVIDIA H200": 989e12, "NVIDIA H100 80GB HBM3": 989e12, "NVIDIA A100-SXM4-80GB": 312e12}  # dense, FLOP/s


def config_for(dims: str, batch: int, **settings: Any) -> Recipe:
    ranker = presets.paper("challenge" if dims == "challenge" else "small")
    return Recipe(f"benchmark-{dims}", ranker, TrainConfig(batch_size=batch, **settings))


def measure_ours(
    data: Path,
    dims: str,
    batch: int,
    precision: str,
    seconds: float,
    device: str,
    profile: bool = True,
    warm_up: int = 1,
) -> dict[str, Any]:
    inputs = Artifacts(dataset=data / "dataset", validation=data / "validation", embeddings=data / "embeddings")
    config = config_for(dims, batch, precision=precision, device=device)
    job = prepare_job(inputs, config, data / "work")
    ranks = Ranks(0, 1, pick_device(device))
    timed = _time_steps(job, ranks, warm_up, seconds)
    if profile:
        timed["profile"] = _profile(job, ranks)
    timed["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return timed


def _time_steps(job: Job, ranks: Ranks, warm_up: int, seconds: float) -> dict[str, Any]:
    def wait() -> None:
        if ranks.device.type == "cuda":
            torch.cuda.synchronize()

    steps = _steps(job, ranks)
    for _ in range(warm_up):
        next(steps)
    wait()
    rows, taken, cpu, wall = 0, 0, time.process_time(), time.perf_counter()
    clock = time.perf_counter if ranks.device.type == "cuda" else time.process_time
    start = clock()
    while taken < 2 or clock() - start < seconds:
        rows += next(steps)
        taken += 1
    wait()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    rates = {"samples_per_cpu_second": rows / cpu, "samples_per_second": rows / wall}
    return {"rows": rows, "steps": taken, "cpu_seconds": cpu, "wall_seconds": wall, **rates}


def _steps(job: Job, ranks: Ranks) -> Iterator[int]:
    """Endless training steps, as the worker makes them; yields the rows of each."""
    arithmetic.set_up(ranks.device)
    rows, _ = job.rows()
    state, optimiser = worker.build(job, ranks)
    data = worker.data_of(job, ranks, rows, state.ranker)
    epoch = 0
    while True:
        for batches, sizes in data.batches(epoch, 0):
            state.advance(optimiser.step(batches, sizes), sum(map(sum, sizes)))
            yield sum(map(sum, sizes))
        epoch += 1


def _profile(job: Job, ranks: Ranks, steps: int = 2, top: int = 8) -> dict[str, float]:
    """Share of the time of the operations that take most of it."""
    stepping = _steps(job, ranks)
    next(stepping)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if ranks.device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(steps):
            next(stepping)
    field = "self_device_time_total" if ranks.device.type == "cuda" else "self_cpu_time_total"
    times = {event.key: float(getattr(event, field)) for event in profiler.key_averages()}
    total = sum(times.values())
    return {name: round(taken / total, 3) for name, taken in sorted(times.items(), key=lambda item: -item[1])[:top]}


def compare(fuxictr: str, seconds: float, repeats: int, cases: list[tuple[str, int]], lengths: list[str]) -> None:
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for length in lengths:
            data = Path(folder, length)
            write_inputs(data, ROWS, length)
            for dims, batch in cases:
                common = ["--data", str(data), "--dims", dims, "--batch", str(batch), "--seconds", str(seconds)]
                ours = [sys.executable, "-m", "benchmarks.training", "one", *common]
                systems = {
                    "FuxiCTR": [fuxictr, "benchmarks/fuxictr/reference.py", *common],
                    "float32": [*ours, "--precision", "float32"],
                    "bfloat16": [*ours, "--precision", "bfloat16"],
                }
                runs: dict[str, list[dict[str, Any]]] = {system: [] for system in systems}
                case = {"length": length, "dims": dims, "batch": batch, "commit": machine()["commit"], "runs": runs}
                for repeat in range(repeats):
                    for system, command in systems.items():
                        profiled = ["--profile"] if repeat == 0 and system != "FuxiCTR" else []
                        runs[system].append(run_one([*command, *profiled]))
                found.append(case)
                _say(case)
                write_json(RESULTS / "training.json", {"machine": machine(), "threads": 1, "cases": found})


def run_one(command: list[str]) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if output.returncode:
        raise SystemExit(output.stderr)
    result: dict[str, Any] = json.loads(output.stdout.splitlines()[-1])
    return result


def best(case: dict[str, Any], system: str) -> float:
    return max(float(run["samples_per_cpu_second"]) for run in case["runs"][system])


def _say(case: dict[str, Any]) -> None:
    speeds = {system: best(case, system) for system in case["runs"]}
    shown = {system: f"{speed:.1f}/s, {speed / speeds['FuxiCTR']:.1f}x" for system, speed in speeds.items()}
    print(case["dims"], "batch", case["batch"], "length", case["length"], shown, flush=True)


def measure_gpu(batches: list[int], seconds: float) -> None:
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device here: run this command on a machine that has one; nothing was written")
    found = []
    peak = BF16_PEAK.get(torch.cuda.get_device_name())
    with tempfile.TemporaryDirectory() as folder:
        for length in ("challenge", "100"):
            data = Path(folder, length)
            write_inputs(data, 1_000_000, length)
            for batch in batches:
                run = measure_ours(data, "challenge", batch, "bfloat16", seconds, "cuda", warm_up=20)
                speed = run["samples_per_second"]
                share = (
                    speed * padded_flop(presets.paper("challenge"), int(length)) / peak
                    if peak and length == "100"
                    else None
                )
                found.append(
                    {
                        "length": length,
                        "batch": batch,
                        "bf16_peak_share": share,
                        "epoch_seconds_3_6m_rows": 3.6e6 / speed,
                        **run,
                    }
                )
                print(found[-1], flush=True)
    write_json(RESULTS / "training-gpu.json", {"machine": machine(), "cases": found})


def padded_flop(model: Any, length: int) -> float:
    """Forward and backward of one row, with every position computed: what a full history costs."""
    item = 2 * model.embedding_dim + model.content_dim
    width = 2 * item
    features = 2 * model.embedding_dim + item + (model.last_k + 1) * width
    transformer = model.layers * (length * (4 * width**2 + 2 * width * model.ffn_dim) + 2 * length**2 * width)
    deep = sum(a * b for a, b in zip([features, *model.deep_widths], model.deep_widths, strict=False))
    head = (features + model.deep_widths[-1]) * model.head_widths[0]
    return float(6 * (transformer + model.cross_layers * features**2 + deep + head))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    both = commands.add_parser("compare")
    both.add_argument("--fuxictr", required=True, help="the interpreter of FuxiCTR's environment")
    both.add_argument("--repeats", type=int, default=3)
    both.add_argument("--cases", nargs="+", default=[f"{dims}:{batch}" for dims, batch in CASES])
    both.add_argument("--lengths", nargs="+", default=list(LENGTHS))
    one = commands.add_parser("one")
    one.add_argument("--data", type=Path, required=True)
    one.add_argument("--dims", choices=("small", "challenge"), required=True)
    one.add_argument("--batch", type=int, required=True)
    one.add_argument("--precision", default="float32")
    one.add_argument("--profile", action="store_true")
    gpu = commands.add_parser("gpu")
    gpu.add_argument("--batches", type=int, nargs="+", default=[1024, 4096, 8192])
    for command in (both, one, gpu):
        command.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    if asked.command == "compare":
        cases = [(dims, int(batch)) for dims, _, batch in (case.partition(":") for case in asked.cases)]
        compare(asked.fuxictr, asked.seconds, asked.repeats, cases, asked.lengths)
    elif asked.command == "one":
        torch.set_num_threads(1)
        what = (asked.data, asked.dims, asked.batch, asked.precision, asked.seconds, "cpu", asked.profile)
        print(json.dumps(measure_ours(*what)))
    else:
        measure_gpu(asked.batches, asked.seconds)


if __name__ == "__main__":
    main()
