"""Nights of warm starts against nights from scratch: `python -m benchmarks.warm_start`.

The rows of a data set with times are cut into nights. Each night trains on what was known then, on the newest rows of
which it stops, and is measured on the rows until the next night. Every arm starts from one champion, which was trained
from scratch on the night before the first, and goes on from its own candidate each night, as if every one was approved.

Two data sets, with the settings of the preset `sample`: a sample with days, and MovieLens with the vectors that a run
left in a workspace. CPU seconds are those of the whole train step: conversion of the rows, epochs, scores of valid.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from benchmarks.id_optimizer import newest_run
from benchmarks.machine import machine
from benchmarks.training import RESULTS
from components.artifacts import Artifacts
from components.batches.rows import RowStore
from components.batches.scoring import score
from components.dataset.sample.days import DaysSpec
from components.dataset.sample.spec import SampleSpec
from components.dataset.sample.write_days import write_days
from components.packages.format import RANKER
from components.statistics.auc import auc
from components.statistics.intervals import difference_by_user
from components.storage.files import write_json
from components.train.config import Recipe
from components.train.step import train
from model import checkpoint
from pipelines.presets import preset

DAYS = DaysSpec(days=16)
ARMS: dict[str, dict[str, Any]] = {
    "scratch": {},
    "champion": {"start": "champion"},
    "rate / 4": {"start": "champion", "learning_rate": 5e-4},
    "no replay": {"start": "champion", "replay_share": 0.0},
    "replay .8": {"start": "champion", "replay_share": 0.8},
    "pull 10": {"start": "champion", "pull_to_champion": 10.0},
}


@dataclass(frozen=True)
class Night:
    made: Artifacts
    test: Path


def nights(made: Artifacts, count: int, share: float, folder: Path) -> Iterator[Night]:
    """The night before the first, then `count` more, each `share` of the rows later than the one before."""
    dataset = made.dataset
    rows = pa.concat_tables([pq.read_table(dataset / f"{split}.parquet") for split in ("train", "valid", "test")])
    rows = rows.take(pc.sort_indices(rows, [("time", "ascending")]))
    moments = rows["time"].to_numpy()
    for night in range(count + 1):
        ends = [1 - (count + 1 - night + behind) * share for behind in (1, 0, -1)]  # of train, valid and test
        train_end, valid_end, test_end = (_at(moments, end) for end in ends)
        out = folder / str(night)
        for name in ("dataset", "validation", "embeddings"):
            (out / name).mkdir(parents=True)
        shutil.copyfile(dataset / "item_feature.parquet", out / "dataset" / "item_feature.parquet")
        shutil.copyfile(made.embeddings / "item_info.parquet", out / "embeddings" / "item_info.parquet")
        write_json(out / "validation" / "quarantine.json", {})
        for split, part in (
            ("train", rows[:train_end]),
            ("valid", rows[train_end:valid_end]),
            ("test", rows[valid_end:test_end]),
        ):
            pq.write_table(part, out / "dataset" / f"{split}.parquet")
        yield Night(
            Artifacts(dataset=out / "dataset", validation=out / "validation", embeddings=out / "embeddings"),
            out / "dataset" / "test.parquet",
        )


def _at(moments: np.ndarray, share: float) -> int:
    """The first row at or after the moment at `share` of the rows: rows of one moment stay together."""
    return (
        int(np.searchsorted(moments, moments[min(len(moments) - 1, int(share * len(moments)))]))
        if share < 1
        else len(moments)
    )


def measured(
    world: Artifacts, arms: dict[str, dict[str, Any]], count: int, share: float, seed: int
) -> Iterator[dict[str, Any]]:
    """For each night what each arm cost, how it ranked the next rows, and how that differs from scratch."""
    config = preset("sample")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        champions: dict[str, Path] = {}
        for number, night in enumerate(nights(world, count, share, folder / "nights")):
            told: dict[str, Any] = {}
            scores = {}
            test = RowStore.build(night.test, folder / "test")
            for arm, changes in arms.items() if number else [("scratch", {})]:
                settings = replace(config.train, device="cpu", seed=seed, **changes)
                made = replace(night.made, champion=champions.get(arm, folder))
                out = folder / f"{number}-{arm}".replace("/", "by")
                began = time.process_time()
                summary = train(
                    made, Recipe("sample", config.model, settings), folder / f"work-{arm[:8]}-{out.name}", out
                )
                cpu = time.process_time() - began
                scores[arm] = score(checkpoint.load(out / "model.safetensors"), test)
                champions[arm] = _champion(out, number)
                told[arm] = {
                    "cpu_seconds": round(cpu, 2),
                    "auc": auc(test.label, scores[arm]),
                    **{name: summary[name] for name in ("start", "rows", "epochs", "best_epoch", "valid_auc")},
                }
                shutil.rmtree(folder / f"work-{arm[:8]}-{out.name}")
            if not number:
                champions = dict.fromkeys(arms, champions["scratch"])
                continue
            for arm in told:
                difference = difference_by_user(
                    test.label, scores[arm], scores["scratch"], np.asarray(test.user, np.int64), 0.95
                )
                told[arm]["against_scratch"] = [difference.value, difference.low, difference.high]
                print(number, arm, told[arm]["cpu_seconds"], round(told[arm]["auc"], 4), difference, flush=True)
            yield {"test_rows": len(test), "arms": told}


def _champion(trained: Path, version: int) -> Path:
    """As fetch-champion hands it over, as far as training reads it."""
    folder = trained.with_name(f"{trained.name}-champion")
    (folder / "package").mkdir(parents=True)
    shutil.copyfile(trained / "model.safetensors", folder / "package" / RANKER)
    write_json(folder / "champion.json", {"version": str(version)})
    return folder


def summed(found: list[Any]) -> dict[str, Any]:
    """Over all nights: the mean difference from scratch with its interval, and the share of scratch's CPU seconds.

    Nights count as independent: what chance did on one says nothing about the next.
    """
    sums = {}
    for arm in found[0]["arms"]:
        of = [night["arms"][arm] for night in found]
        values, lows, highs = (np.array(column) for column in zip(*(n["against_scratch"] for n in of), strict=True))
        error = float(np.sqrt(np.square((highs - lows) / 2).sum())) / len(found)
        cpu, scratch = (sum(n["arms"][name]["cpu_seconds"] for n in found) for name in (arm, "scratch"))
        sums[arm] = {
            "auc": float(np.mean([n["auc"] for n in of])),
            "against_scratch": [float(values.mean()), float(values.mean()) - error, float(values.mean()) + error],
            "cpu_share": round(cpu / scratch, 3),
        }
    return sums


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--movielens", type=Path, help="a workspace in which mmctr run has run an import of MovieLens")
    parser.add_argument("--nights", type=int, default=6)
    parser.add_argument("--share", type=float, default=0.02, help="of all rows, that come from one night to the next")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--arms", nargs="*", default=list(ARMS), help="some of the arms; scratch is one always")
    parser.add_argument("--out", type=Path, default=RESULTS / "warm_start.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    arms = {name: changes for name, changes in ARMS.items() if name in ("scratch", *asked.arms)}
    about = {"machine": machine(), "preset": "sample", "threads": 1, "nights": asked.nights, "share": asked.share}
    worlds: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        inputs = {"sample with days": _sample(Path(folder, "sample"))}
        if asked.movielens:
            inputs["MovieLens"] = newest_run(asked.movielens)
        for world, made in inputs.items():
            print(world, flush=True)
            found: list[Any] = []
            for night in measured(made, arms, asked.nights, asked.share, asked.seed):
                found.append(night)
                worlds[world] = {"sums": summed(found), "nights": found}
                write_json(asked.out, {**about, "arms": arms, "worlds": worlds})
            for arm, sums in worlds[world]["sums"].items():
                print(world, arm, sums, flush=True)


def _sample(folder: Path) -> Artifacts:
    write_days(folder, SampleSpec(content="item_info"), DAYS)
    return Artifacts(dataset=folder, embeddings=folder)


if __name__ == "__main__":
    main()
