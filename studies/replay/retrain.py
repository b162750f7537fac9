"""What the pipeline would have done on a night: validate, embed, train, evaluate, gate, with its own steps.

A folder for each piece of work, named by what it was made from, so that policies that agree share it:

    prepared/KEY   validation/ and embeddings/ of a night against a champion; stopped.json where validation stopped
    trained/KEY    training/, named as the train step names the job
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from components.artifacts import Artifacts
from components.decide.step import FreshnessPolicy, judge
from components.errors import StepError
from components.evaluate.step import evaluate
from components.gate.verdict import decide
from components.process.progress import emit
from components.register.package import copy_parts
from components.run_config import RunConfig
from components.settings import to_dict
from components.storage.files import link_or_copy, read_json, sha256_json, write_json
from components.storage.sources import code_key
from components.storage.verified import made_once
from components.train.job import prepare_job
from components.train.step import train
from studies.replay.policies import Action


@dataclass(frozen=True)
class Champion:
    """A folder as the pipeline's fetch-champion writes it. `key` says what it was made from; empty: there is none."""

    folder: Path
    key: str = ""
    night: int | None = None  # on which it was trained
    refused_starts: int = 0  # candidates that started from it and that the gate refused

    def after_a_refusal(self, out: Path) -> None:
        """Writes the folder that fetch-champion would write from now on."""
        about = read_json(self.folder / "champion.json")
        (out / "package").mkdir(parents=True)
        for path in (self.folder / "package").iterdir():
            link_or_copy(path, out / "package" / path.name)
        write_json(out / "champion.json", {**about, "refused_starts": self.refused_starts + 1})


@dataclass
class Cost:
    """Seconds of processor time, by piece of work. What another policy has made costs what it cost to make."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        before = time.process_time()
        try:
            yield
        finally:
            self.add(name, time.process_time() - before)

    def add(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds


@dataclass(frozen=True)
class Bench:
    """Where a replay keeps what its nights make, and the config of its runs."""

    cache: Path  # of the workspace
    config: RunConfig

    def config_of(self, action: Action, drift: float) -> RunConfig:
        """As a schedule with `refresh` sets it. A start from the champion keeps its projection of the content."""
        if action != "warm":
            return self.config
        train = replace(self.config.train, start="champion", cold_above_drift=drift)
        return replace(self.config, train=train, embed=replace(self.config.embed, projection="reuse-champion"))

    @property
    def replay(self) -> Path:
        return self.cache / "replay"


def prepared(bench: Bench, config: RunConfig, dataset: Path, night_key: str, champion: Champion, cost: Cost) -> Path:
    """Validation and embeddings; raises StepError where validation stops the run."""
    from components.embed.step import embed
    from components.validate.step import validate

    settings = [to_dict(config)[section] for section in ("validate", "embed")]
    code = code_key("components.validate.step", "components.embed.step")
    folder = bench.replay / "prepared" / sha256_json([night_key, champion.key, settings, code])[:32]

    def make(scratch: Path) -> None:
        for name in ("validation", "embeddings"):
            (scratch / name).mkdir()
        own = Cost()
        with own.of("prepare"):
            emit("work", name="validate")
            try:
                validate(dataset, champion.folder, config.validate, scratch / "validation")
                emit("work", name="embed")
                embed(dataset, champion.folder, config.embed, bench.cache / "embeddings", scratch / "embeddings")
            except StepError as error:
                write_json(scratch / "stopped.json", {"message": str(error)})
        write_json(scratch / "cost.json", own.seconds)

    made_once(folder, make)
    cost.add("prepare", read_json(folder / "cost.json")["prepare"])
    if (folder / "stopped.json").is_file():
        raise StepError(str(read_json(folder / "stopped.json")["message"]))
    return folder


def drifted(bench: Bench, made: Artifacts, limit: float) -> tuple[bool, str]:
    """Whether the pipeline's decide step would train, and why."""
    found = judge(made, to_dict(bench.config), FreshnessPolicy(retrain_above_drift=limit))
    return found.train, found.reason


def candidate(
    bench: Bench, config: RunConfig, made: Artifacts, number: int, key: str, cost: Cost, out: Path
) -> dict[str, Any]:
    """Trains, measures and judges a candidate, and writes it to `out` as a champion's folder; returns the verdict."""
    trained = _trained(bench, config, made, cost)
    out.mkdir()
    (out / "work").mkdir()
    made = replace(made, training=trained / "training", evaluation=out / "work", decision=out / "work")
    emit("work", name="evaluate")
    with cost.of("evaluate"):
        metrics = evaluate(made, config.evaluate, config.train.device, out / "work")
        verdict = decide(metrics, read_json(made.validation / "verdict.json"), config.gate)
    write_json(out / "work" / "verdict.json", verdict)
    copy_parts(made, to_dict(bench.config), out / "package")
    for file in (out / "work").iterdir():
        file.unlink()
    (out / "work").rmdir()
    auc = metrics["candidate"]["auc"]["value"]
    about = {"name": config.registered_name, "run_id": None, "package_sha256": key, "auc": auc}
    write_json(out / "champion.json", {"version": str(number), **about})
    return {"auc": auc, "start": read_json(trained / "training" / "summary.json")["start"], **verdict}


def _trained(bench: Bench, config: RunConfig, made: Artifacts, cost: Cost) -> Path:
    work = bench.cache / "training"
    job = prepare_job(made, config.recipe, work)
    folder = bench.replay / "trained" / job.key

    def make(scratch: Path) -> None:
        (scratch / "training").mkdir()
        own = Cost()
        emit("work", name="train")
        with own.of("train"):
            train(made, config.recipe, work, scratch / "training")
        write_json(scratch / "cost.json", own.seconds)

    made_once(folder, make)
    cost.add("train", read_json(folder / "cost.json")["train"])
    return folder
