"""A server of made-up weights in a process of its own on one core, for what measures serving over HTTP.

    python -m benchmarks.served "best, small" openvino 1 0 shadow

Time does not depend on the weights, as long as they tell one score from another, nor on the catalogue.
"""

import http.client
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from components.predict.engines import EngineName
from components.predict.online import OnlineScorer
from components.request_log.writer import LogConfig, RequestLog
from components.serve.app import make_app
from components.serve.follow import Follower
from components.serve.limits import Queue
from components.serve.run import ServeConfig, listening
from components.serve.shadow import Shadow
from components.serve.trial import Trial, checked
from components.serve.version import ServedVersion
from components.storage.objects import open_store
from model.config import ModelConfig
from model.items import ItemTable
from model.older_files import challenge_vocabulary
from model.presets import PRESETS, din
from model.ranker import Ranker

ITEMS, TAGS, LEVELS, CONTENT = 91_718, 11_740, 11, 128  # the challenge's
Beside = Literal["nothing", "log", "shadow"]  # what else a server does with a request
_TICK = os.sysconf("SC_CLK_TCK")


def rankers() -> dict[str, ModelConfig]:
    """Each preset, and the second place's attention with a low-rank cross network."""
    relu = {"interest": "relu", "cross": "low-rank", "head_widths": (64, 32)}
    made = {f"{name}, small": PRESETS[name]("small") for name in ("best", "din", "paper", "published")}
    made["relu attention, small"] = replace(din("small"), **relu)  # type: ignore[arg-type]
    return {**made, **{f"{name}, challenge": PRESETS[name]("challenge") for name in ("best", "din")}}


def catalogue(seed: int) -> ItemTable:
    random = np.random.default_rng(seed)
    tags, content = random.integers(0, TAGS, (ITEMS, 5)), random.normal(size=(ITEMS, CONTENT)).astype(np.float32)
    levels = random.integers(1, LEVELS, (2, ITEMS))
    for column in (tags, content, levels.T):
        column[0] = 0
    return ItemTable.from_arrays(np.concatenate([tags, levels.T], axis=1), content)


def build(config: ModelConfig, table: ItemTable) -> Ranker:
    torch.manual_seed(1)
    ranker = Ranker(config, challenge_vocabulary(ITEMS, TAGS, LEVELS, CONTENT, tag_width=5), table).eval()
    with torch.no_grad():  # the first embeddings are too small to tell one answer from another
        for name, weight in ranker.named_parameters():
            if weight.dim() == 2 and len(weight) >= LEVELS and "item_encoder" in name:
                weight.normal_(std=0.1)
    return ranker


@dataclass(frozen=True)
class Served:
    process: "subprocess.Popen[str]"
    host: str
    port: int

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=60)

    def cpu_seconds(self) -> float:
        fields = self._read("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def resident_mb(self) -> float:
        lines = dict(line.split(":", 1) for line in self._read("status").splitlines())
        return round(int(lines["VmRSS"].split()[0]) / 1024, 1)

    def _read(self, name: str) -> str:
        with open(f"/proc/{self.process.pid}/{name}") as file:
            return file.read()


@contextmanager
def served(
    ranker: str, engine: EngineName, seed: int = 1, core: int = 0, beside: Beside = "nothing"
) -> Iterator[Served]:
    command = [sys.executable, "-m", "benchmarks.served", ranker, engine, str(seed), str(core), beside]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            host, port = address.removeprefix("http://").split(":")
            yield Served(process, host, int(port))
        finally:
            process.terminate()


def main(ranker: str, engine: EngineName, seed: int, core: int, beside: Beside) -> None:
    os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)
    scorer = OnlineScorer(build(rankers()[ranker], catalogue(seed)), np.arange(ITEMS) > 0, engine=engine)
    champion, challenger = (
        Follower(None, alias, None, 1.0, current=ServedVersion(number, "", scorer))  # type: ignore[arg-type]
        for number, alias in ((1, "champion"), (2, "challenger"))
    )
    requests = Queue(32, 60.0)
    with tempfile.TemporaryDirectory() as folder:
        log = RequestLog(open_store(folder), b"made up for the benchmark", LogConfig(file_seconds=5.0))
        shadow = Shadow(1.0, log, busy=lambda: requests.inside > 0, ask=checked)
        trials = {"nothing": Trial(), "log": Trial(log=log), "shadow": Trial(challenger, shadow=shadow, log=log)}
        trial = trials[beside]
        for part in (trial.log, trial.shadow):
            if part is not None:
                part.start()
        with listening(make_app("mmctr", champion, requests, trial), ServeConfig(port=0)) as (server, bound):
            print("http://{}:{}".format(*bound.getsockname()[:2]), flush=True)
            server.run([bound])


if __name__ == "__main__":
    name, engine, seed, core, beside = sys.argv[1:]
    main(name, engine, int(seed), int(core), beside)  # type: ignore[arg-type]
