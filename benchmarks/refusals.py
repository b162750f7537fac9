"""How long a wrong request waits for its refusal: each of them over HTTP, many times, on a connection that stays open.

    python -m benchmarks.refusals --out benchmarks/results/refusals.json

The time counts from the end of the request, because a client alone decides how fast it sends. The server has a process
and a core of its own. tests/unit/serve/test_app.py holds the same requests to their answers.
"""

import argparse
import http.client
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from benchmarks.served import Served, served
from components.storage.files import write_json

RIGHT: dict[str, Any] = {
    "item_seq": [3, 1, 2],
    "item_id": [5, 9, 2, 43, 2**40],
    "likes_level": [4, 0, 10, 1, 1],
    "views_level": [7, 0, 10, 2, 2],
}


def changed(**changes: Any) -> bytes:
    return json.dumps({**RIGHT, **changes}).encode()


# (path, body, status, words of the reason)
WRONG: dict[str, tuple[str, bytes, int, str]] = {
    "no body": ("/rank", b"", 422, "the body: Field required"),
    "broken JSON": ("/rank", changed()[:-5], 400, "the body is no JSON"),
    "no text": ("/rank", b"\xff\xfe\x00", 400, "parsing the body"),
    "a list": ("/rank", b"[1, 2]", 422, "the body: "),
    "a number": ("/rank", b"5", 422, "the body: "),
    "null": ("/rank", b"null", 422, "the body: "),
    "deep nesting": ("/rank", b"[" * 100_000, 400, ""),
    "a missing field": ("/rank", json.dumps({"item_seq": []}).encode(), 422, "item_id: Field required"),
    "an unknown field": (
        "/rank",
        changed(likes=[1]),
        422,
        "likes: Extra inputs are not permitted; version 3 reads item_seq, item_id, likes_level, views_level",
    ),
    "item 0": ("/rank", changed(item_id=[0] * 5), 422, "item_id.0: must be a whole number from 1 to"),
    "a negative item": ("/rank", changed(item_id=[1, -3, 1, 1, 1]), 422, "item_id.1: .*(given: -3)"),
    "a fraction": ("/rank", changed(item_id=[5.5] * 5), 422, "item_id.0: .*(given: 5.5)"),
    "2^63": ("/rank", changed(item_id=[2**63] * 5), 422, "item_id.0: .*(given: 9223372036854775808)"),
    "2^64 + 1": ("/rank", changed(item_id=[2**64 + 1] * 5), 422, "item_id.0: "),
    "a number of 10,000 digits": (
        "/rank",
        changed().replace(b"[5,", b"[" + b"9" * 10_000 + b","),
        400,
        "parsing the body",
    ),
    "NaN": ("/rank", changed(item_id=[float("nan")] * 5), 422, "item_id.0: "),
    "infinity": ("/rank", changed(likes_level=[float("inf")] * 5), 422, "likes_level.0: "),
    "a text": ("/rank", changed(item_id=["5"] * 5), 422, "item_id.0: must be a whole number from 1 to .*(given: '5')"),
    "true": ("/rank", changed(item_id=[True] * 5), 422, "item_id.0: "),
    "null in a list": ("/rank", changed(views_level=[None] * 5), 422, "views_level.0: "),
    "level 11": (
        "/rank",
        changed(likes_level=[11] * 5),
        422,
        "likes_level.0: must be a whole number from 0 to 10 (given: 11)",
    ),
    "a negative level": ("/rank", changed(views_level=[-1] * 5), 422, "views_level.0: "),
    "a feature that is no list": ("/rank", changed(likes_level=5), 422, "likes_level: must be a list with a value for"),
    "no candidates": ("/rank", changed(item_id=[], likes_level=[], views_level=[]), 422, "item_id: .*at least 1"),
    "lists of other lengths": ("/rank", changed(likes_level=[1]), 422, "the lists must be of one length"),
    "2,001 candidates": ("/rank", changed(item_id=[1] * 2001), 422, "item_id: .*at most 2000"),
    "10^6 candidates": ("/rank", changed(item_id=[1] * 10**6), 413, "longer than 1,000,000 bytes"),
    "10 MB": ("/score", b" " * 10**7, 413, "longer than 1,000,000 bytes"),
    "a history of text": ("/rank", changed(item_seq="3,1,2"), 422, "item_seq: Input should be a valid list"),
    "a negative click": ("/rank", changed(item_seq=[3, -1]), 422, "item_seq.1: "),
    "a history without end": ("/rank", changed(item_seq=[1] * 10_001), 422, "item_seq: .*at most 10000"),
    "rows that are none": ("/score", b'{"rows": 5}', 422, "rows: Input should be a valid list"),
    "no rows": ("/score", b'{"rows": []}', 422, "rows: .*at least 1"),
    "a row without levels": ("/score", b'{"rows": [{"item_seq": [], "item_id": 1}]}', 422, "rows.0.likes_level: "),
    "no such route": ("/predict", changed(), 404, "Not Found"),
    "another model": ("/v2/models/other/infer", changed(), 404, "Not Found"),
    "another protocol": ("/v2/models/mmctr/infer", changed(), 422, "inputs: Field required"),
}


def times(server: Served, path: str, body: bytes, status: int, requests: int) -> list[float]:
    """Milliseconds from when the request was sent to the answer's last byte."""
    connection, taken = server.connection(), []
    for _ in range(requests):
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            began = time.perf_counter()
            answer = connection.getresponse()
            answer.read()
        except (http.client.HTTPException, OSError):
            raise SystemExit(f"{path} with {len(body)} bytes: the server gave no answer") from None
        taken.append((time.perf_counter() - began) * 1e3)
        if answer.status != status:
            raise SystemExit(f"{path}: answered with {answer.status}, not {status}")
    connection.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=100)
    given = parser.parse_args()
    os.sched_setaffinity(0, {1})  # the server has core 0
    results = []
    with served("best, small", "eager") as server:
        for case, (path, body, status, _) in WRONG.items():
            taken = times(server, path, body, status, given.requests)
            p50, p99 = np.percentile(taken, [50, 99]).round(2).tolist()
            results.append({"case": case, "bytes": len(body), "status": status, "p50_ms": p50, "p99_ms": p99})
            print(json.dumps(results[-1]), flush=True)
    write_json(given.out, {**machine(), "requests": given.requests, "results": results})


if __name__ == "__main__":
    main()
