"""One night of one policy: what it does, what serves after it, and how that scores the next day's rows.

cell.json       what happened, and what it cost
served.npy      the click probability of each of the next day's rows, if something served
refused.npy     the same by a candidate that the gate refused, where a champion served in its place
candidate/      what was trained, as a champion's folder
lineage/        what the candidate says of its data and its code
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from components.artifacts import Artifacts
from components.batches.device import pick_device
from components.batches.rows import RowStore
from components.errors import StepError
from components.packages.scores import ChampionScores, score_champion
from components.process.progress import emit
from components.settings import to_dict
from components.storage.files import read_json, sha256_json, write_json
from components.storage.sources import code_key
from components.storage.verified import made_once
from studies.replay.night import NightPlan, make_night
from studies.replay.policies import Action, Policy
from studies.replay.retrain import Bench, Champion, Cost, candidate, drifted, prepared
from studies.replay.timeline import Timeline


@dataclass(frozen=True)
class Stage:
    """What all policies of a replay have in common."""

    bench: Bench
    timeline: Timeline
    plan: NightPlan
    cutoffs: tuple[int, ...]

    def night_key(self, number: int) -> str:
        code = code_key("studies.replay.night")
        return sha256_json([code, self.timeline.folder.name, self.cutoffs[number], self.plan.every, self.plan.window])[
            :32
        ]

    def night(self, number: int) -> Path:
        folder = self.bench.replay / "nights" / self.night_key(number)
        made_once(folder, lambda scratch: make_night(self.timeline, self.cutoffs[number], self.plan, scratch))
        return folder

    def nobody(self) -> Champion:
        folder = self.bench.replay / "no-champion"
        write_json(folder / "champion.json", {"version": None, "name": self.bench.config.registered_name})
        return Champion(folder)


def play_night(stage: Stage, policy: Policy, number: int, champion: Champion) -> tuple[Path, Champion]:
    """The folder of what happened, and the champion that serves afterwards. Nothing is done twice."""
    action = policy.action(number, bool(champion.key))
    limit = policy.drift if action in ("ask drift", "warm") else 0.0
    code = code_key("studies.replay.play")
    standing = [champion.key, champion.refused_starts]
    identity = [code, stage.night_key(number), number, action, limit, standing, to_dict(stage.bench.config)]
    folder = stage.bench.replay / "cells" / sha256_json(identity)[:32]
    made_once(folder, lambda scratch: _play(stage, action, limit, number, champion, folder.name, scratch))
    about = read_json(folder / "cell.json")
    if about["promoted"]:
        champion = Champion(folder / "candidate", folder.name, number)
    elif about["refused_start"]:
        champion = replace(champion, folder=folder / "champion", refused_starts=champion.refused_starts + 1)
    return folder, champion


def _play(stage: Stage, action: Action, limit: float, number: int, champion: Champion, key: str, out: Path) -> None:
    bench, night, cost = stage.bench, stage.night(number), Cost()
    about: dict[str, Any] = {"night": number, "action": action, "trained": False, "reason": "", "stopped": ""}
    verdict: dict[str, Any] | None = None
    if action != "nothing":
        try:
            verdict = _retrain(stage, action, limit, number, champion, key, cost, out, about)
        except StepError as error:
            about["stopped"] = str(error)
            shutil.rmtree(out / "candidate", ignore_errors=True)
    promoted = bool(verdict and verdict["passed"])
    serving = Champion(out / "candidate", key, number) if promoted else champion
    about |= {"verdict": verdict, "promoted": promoted, "served_night": serving.night, "served_key": serving.key}
    about["refused_start"] = bool(verdict and not promoted and verdict["start"]["from"] == "champion")
    if about["refused_start"]:
        champion.after_a_refusal(out / "champion")
    emit("work", name="score the next day")
    scores = {"served": serving} | ({"refused": Champion(out / "candidate")} if verdict and not promoted else {})
    for name, scored_by in scores.items():
        found = _tomorrow(bench, night, scored_by)
        about[name] = {} if found is None else found.facts
        if found is not None and found.scores is not None:
            np.save(out / f"{name}.npy", found.scores, allow_pickle=False)
    write_json(out / "cell.json", {**about, "cost": cost.seconds})


def _retrain(
    stage: Stage,
    action: Action,
    limit: float,
    number: int,
    champion: Champion,
    key: str,
    cost: Cost,
    out: Path,
    about: dict[str, Any],
) -> dict[str, Any] | None:
    """The verdict on a candidate, or None if the drift asked for none. `about` learns what happened on the way."""
    night, bench = stage.night(number), stage.bench
    config = bench.config_of(action, limit)
    made = Artifacts(dataset=night / "dataset", champion=champion.folder, lineage=out / "lineage")
    # The night is the revision of the data. Who decides is said here too: no person has seen this model.
    lineage = {
        "data_md5": stage.night_key(number),
        "code_commit": code_key("studies.replay.play"),
        "code_changed": False,
    }
    write_json(out / "lineage" / "lineage.json", {**lineage, "decided_by": "mmctr replay"})
    folder = prepared(bench, config, made.dataset, stage.night_key(number), champion, cost)
    made = Artifacts(
        dataset=made.dataset,
        champion=made.champion,
        lineage=made.lineage,
        validation=folder / "validation",
        embeddings=folder / "embeddings",
    )
    if action == "ask drift":
        wanted, about["reason"] = drifted(bench, made, limit)
        if not wanted:
            return None
    about["trained"] = True
    return candidate(bench, config, made, number, key, cost, out / "candidate")


def _tomorrow(bench: Bench, night: Path, champion: Champion) -> ChampionScores | None:
    """None where nothing serves, or no row comes."""
    path = night / "tomorrow.parquet"
    if not (champion.folder / "package").is_dir() or not pq.read_metadata(path).num_rows:
        return None
    config = bench.config
    return score_champion(
        champion.folder,
        lambda features, _: RowStore.build(path, bench.replay / "rows", (), features),
        config.evaluate.batch_size,
        pick_device(config.train.device),
    )
