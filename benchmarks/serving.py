"""One user and 500 candidates over HTTP, against the call of the registered model (`mlflow.pyfunc`, 500 raw rows).

    python -m benchmarks.serving --out benchmarks/results/serving.json

The server has a process and a core of its own and one thread; the client asks over one connection that stays open, as
JSON (`/rank`) and in the Open Inference Protocol's binary form. For each engine and form the results hold the server's
CPU time of a request, the median and the 99th percentile of the seconds that the client waits, and the largest
difference from the registered call. The registered call takes turns with them; its CPU time is the median of its calls.
At last come the costs of the request log and of a shadow, which scores each request once more.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from benchmarks.machine import machine
from benchmarks.served import ITEMS, LEVELS, Beside, Served, build, catalogue, rankers, served
from components.dataset.layout import HISTORY, ITEM, LIKES, VIEWS
from components.packages.format import CONFIG, ENCODER, MANIFEST, PROGRAM
from components.predict.engines import EngineName
from components.register.export import export
from components.schema import encoder
from components.schema.challenge import CHALLENGE
from components.schema.fitted import FEATURES
from components.serve.tensors import HEADER_LENGTH
from components.storage.files import write_json
from components.tracking.pyfunc import load_model, write_model
from model.ranker import Ranker

CANDIDATES = 500
Columns = dict[str, npt.NDArray[np.int64]]


def registered_model(ranker: Ranker) -> Any:
    """As MLflow loads it from the registry."""
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = Path(scratch) / "package"
        package.mkdir()
        export(ranker, package / PROGRAM)
        write_json(package / CONFIG, {"model": {"history_length": ranker.config.history_length}})
        write_json(package / MANIFEST, {})
        write_json(package / FEATURES, CHALLENGE.to_json())
        shutil.copyfile(encoder.__file__, package / ENCODER)
        write_model(package, Path(scratch) / "model")
        return load_model(Path(scratch) / "model")


def columns(length: int) -> Columns:
    random = np.random.default_rng(length)
    tops = {
        HISTORY: (ITEMS, length),
        ITEM: (ITEMS, CANDIDATES),
        LIKES: (LEVELS, CANDIDATES),
        VIEWS: (LEVELS, CANDIDATES),
    }
    return {name: random.integers(1, top, size) for name, (top, size) in tops.items()}


def as_json(asked: Columns) -> tuple[str, bytes, dict[str, str]]:
    body = json.dumps({name: values.tolist() for name, values in asked.items()}).encode()
    return "/rank", body, {"Content-Type": "application/json"}


def as_binary(asked: Columns) -> tuple[str, bytes, dict[str, str]]:
    inputs, behind = [], []
    for name, values in asked.items():
        shape = [1, len(values)] if name == HISTORY else [len(values)]
        behind.append(values.astype("<i8").tobytes())
        parameters = {"binary_data_size": len(behind[-1])}
        inputs.append({"name": name, "shape": shape, "datatype": "INT64", "parameters": parameters})
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return "/v2/models/mmctr/infer", head + b"".join(behind), headers


FORMS = {"json": as_json, "binary": as_binary}


def probabilities_of(form: str, body: bytes, headers: Any) -> npt.NDArray[np.float64]:
    if form == "json":
        return np.array(json.loads(body)["scores"])
    size = int(headers[HEADER_LENGTH])
    first = json.loads(body[:size])["outputs"][0]["parameters"]["binary_data_size"]
    return np.frombuffer(body[size : size + first], "<f8")


def over_http(server: Served, form: str, asked: Columns, requests: int) -> tuple[dict[str, float], Any]:
    """(figures, scores)."""
    connection, (path, body, headers) = server.connection(), FORMS[form](asked)
    waited = []
    for place in range(requests + 5):
        if place == 5:  # the first ones warm up
            before = server.cpu_seconds()
        started = time.perf_counter()
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        waited.append(time.perf_counter() - started)
        assert answer.status == 200, content
    cpu = (server.cpu_seconds() - before) / requests
    connection.close()
    percentiles = np.percentile(np.array(waited[5:]) * 1e3, [50, 99])
    figures = {"cpu_ms": cpu * 1e3, "p50_ms": percentiles[0], "p99_ms": percentiles[1]}
    return {name: round(float(value), 2) for name, value in figures.items()}, probabilities_of(
        form, content, answer.headers
    )


def measure(name: str, table: Any, given: argparse.Namespace) -> list[dict[str, Any]]:
    registered, results = registered_model(build(rankers()[name], table)), []
    for engine in get_args(EngineName)[:2]:  # without CUDA
        with served(name, engine, given.seed) as server:
            for length in (8, 50):
                asked = columns(length)
                frame = pd.DataFrame({**asked, HISTORY: [asked[HISTORY].tolist()] * CANDIDATES})
                started, calls = 0.0, []
                for form in FORMS:
                    for _ in range(given.repeats):
                        started = time.process_time()
                        expected = registered.predict(frame)["probability"].to_numpy()
                        calls.append(time.process_time() - started)
                    figures, scores = over_http(server, form, asked, given.requests)
                    results.append(
                        {
                            **{"ranker": name, "history": length, "engine": engine, "form": form, **figures},
                            "registered_ms": round(statistics.median(calls) * 1e3, 2),
                            "speedup": round(statistics.median(calls) * 1e3 / figures["cpu_ms"], 2),
                            "largest_difference": float(np.abs(scores - expected).max()),
                            "spread_of_scores": round(float(np.ptp(expected)), 3),
                            "resident_mb": server.resident_mb(),
                        }
                    )
                    print(json.dumps(results[-1]), flush=True)
    return results


def costs(name: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """What the request log and a shadow add to each request, at rate and share 1."""
    results = []
    for beside in get_args(Beside):
        with served(name, "eager", given.seed, beside=beside) as server:
            figures, _ = over_http(server, "json", columns(50), given.requests)
        results.append({"ranker": name, "beside": beside, **figures})
        print(json.dumps(results[-1]), flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5, help="of the registered call, before each form")
    parser.add_argument("--rankers", nargs="*", default=list(rankers()))
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {1})  # the server has core 0
    table = catalogue(given.seed)
    results = [result for name in given.rankers for result in measure(name, table, given)]
    beside = costs("best, small", given)
    settings = {"threads": 1, "seed": given.seed, "requests": given.requests, "candidates": CANDIDATES}
    write_json(given.out, {**machine(), **settings, "results": results, "beside": beside})


if __name__ == "__main__":
    main()
