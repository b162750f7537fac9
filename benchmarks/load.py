"""A server under mixed load at 80% of what it can do: are there errors, does its memory grow, how long do clients wait?

    make load ARGS="--minutes 15"

First eight clients ask as fast as they are answered, for a tenth of a minute: that is the capacity. Then requests start
at even distances, at `--share` of it, over eight connections that stay open: nine of ten rank 50 to 800 candidates as
JSON or in the binary form or score rows, and one of ten is wrong and must be refused with its status. The time of a
request counts from the moment at which it was due, so that a slow server is not asked less often.
"""

import argparse
import json
import os
import queue
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import machine
from benchmarks.served import ITEMS, LEVELS, Served, served
from benchmarks.serving import Columns, as_binary, as_json
from components.dataset.layout import HISTORY, ITEM, LIKES, VIEWS
from components.storage.files import write_json

CLIENTS = 8
JSON = {"Content-Type": "application/json"}
WRONG: list[tuple[int, bytes]] = [
    (400, b'{"item_seq": [1, 2'),
    (422, b'{"item_seq": [1], "item_id": [0], "likes_level": [1], "views_level": [1]}'),
    (422, b'{"item_seq": [1], "item_id": [5], "likes_level": [NaN], "views_level": [1]}'),
    (413, b" " * 1_100_000),
]


@dataclass(frozen=True)
class Request:
    kind: str
    status: int  # that it must have
    path: str
    body: bytes
    headers: dict[str, str]


def requests(seed: int, count: int = 200) -> list[Request]:
    """Made before the measurement, so that the client has little to do."""
    drawn, made = random.Random(seed), []
    for place in range(count):
        candidates, length = drawn.randint(50, 800), drawn.randint(0, 60)
        numbers = np.random.default_rng(seed + place)
        tops = {HISTORY: (ITEMS, length), ITEM: (ITEMS, candidates), LIKES: (LEVELS, candidates)}
        asked: Columns = {name: numbers.integers(1, top, size) for name, (top, size) in tops.items()}
        asked[VIEWS] = numbers.integers(1, LEVELS, candidates)
        kind = drawn.choices(("rank", "binary", "score", "wrong"), (6, 2, 1, 1))[0]
        if kind == "wrong":
            status, body = drawn.choice(WRONG)
            made.append(Request(kind, status, "/rank", body, JSON))
        elif kind == "score":
            columns = {name: asked[name][:50].tolist() for name in (ITEM, LIKES, VIEWS)}
            rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
            history = asked[HISTORY].tolist()
            body = json.dumps({"rows": [{HISTORY: history, **row} for row in rows]}).encode()
            made.append(Request(kind, 200, "/score", body, JSON))
        else:
            made.append(Request(kind, 200, *(as_json if kind == "rank" else as_binary)(asked)))
    return made


@dataclass
class Seen:
    """What the clients saw."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def note(self, request: Request, seconds: float, status: int | str) -> None:
        self.seconds.setdefault(request.kind, []).append(seconds)
        if status != request.status:
            self.wrong.append(f"{request.kind}: {status} instead of {request.status}")


def client(server: Served, due: "queue.Queue[tuple[float, Request] | None]", seen: Seen) -> None:
    connection = server.connection()
    while (asked := due.get()) is not None:
        at, request = asked
        status: int | str
        try:
            connection.request("POST", request.path, request.body, request.headers)
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except OSError as error:
            status = type(error).__name__
            connection.close()
        seen.note(request, time.perf_counter() - at, status)
    connection.close()


def ask(server: Served, made: list[Request], a_second: float | None, seconds: float) -> Seen:
    """At this rate, or, without one, as fast as the server answers."""
    seen, due = Seen(), queue.Queue[tuple[float, Request] | None](CLIENTS if a_second is None else 0)
    clients = [threading.Thread(target=client, args=(server, due, seen)) for _ in range(CLIENTS)]
    for thread in clients:
        thread.start()
    began, sent = time.perf_counter(), 0
    while (now := time.perf_counter()) < began + seconds:
        at = now if a_second is None else began + sent / a_second
        if at > now:
            time.sleep(at - now)
        due.put((at, made[sent % len(made)]))
        sent += 1
    for _ in clients:
        due.put(None)
    for thread in clients:
        thread.join()
    return seen


def percentiles(seconds: list[float]) -> dict[str, float]:
    named = {"p50_ms": 50, "p99_ms": 99, "max_ms": 100}
    return {name: round(float(np.percentile(seconds, share)) * 1e3, 1) for name, share in named.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/load.json"))
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--share", type=float, default=0.8, help="of the capacity")
    parser.add_argument("--ranker", default="best, small")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {1})  # the server has core 0
    made = requests(given.seed)
    with served(given.ranker, given.engine, given.seed) as server:
        fast = ask(server, made, None, 6.0)
        capacity = sum(map(len, fast.seconds.values())) / 6.0
        parts, resident, seen = max(1, round(given.minutes)), [server.resident_mb()], Seen(wrong=fast.wrong)
        cpu = server.cpu_seconds()
        for _ in range(parts):
            part = ask(server, made, given.share * capacity, given.minutes * 60 / parts)
            resident.append(server.resident_mb())
            seen.wrong += part.wrong
            for kind, seconds in part.seconds.items():
                seen.seconds.setdefault(kind, []).extend(seconds)
            print(
                f"{sum(map(len, seen.seconds.values()))} requests, {resident[-1]} MB, wrong: {len(seen.wrong)}",
                flush=True,
            )
        cpu = server.cpu_seconds() - cpu
    count = sum(map(len, seen.seconds.values()))
    report: dict[str, Any] = {
        **{name: getattr(given, name) for name in ("ranker", "engine", "minutes", "share", "seed")},
        "capacity_a_second": round(capacity, 1),
        "requests": count,
        "wrong": len(seen.wrong),
        "examples_of_wrong": seen.wrong[:10],
        "server_cpu_ms": round(cpu / count * 1e3, 2),
        "resident_mb_each_minute": resident,
        "by_kind": {
            kind: {"requests": len(seconds), **percentiles(seconds)} for kind, seconds in sorted(seen.seconds.items())
        },
    }
    write_json(given.out, {**machine(), **report})
    print(json.dumps({name: value for name, value in report.items() if name != "resident_mb_each_minute"}))


if __name__ == "__main__":
    main()
