"""All nights of one policy, one after another, in a process of its own: each night begins with the champion before it.

cell.json   the folders of the nights, by which results find them; it is written when the last night is finished
"""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.process.progress import emit
from components.run_config import RunConfig
from components.settings import from_dict, to_dict
from components.storage.files import read_json, sha256_json, write_json
from components.storage.sources import code_key
from studies.replay.night import NightPlan
from studies.replay.policies import Policy, parse_policy
from studies.replay.prepare import ReplayInputs
from studies.task import Task, serve


@dataclass(frozen=True)
class Chain:
    """A policy of a replay, as the study's engine runs it."""

    policy: Policy
    plan: NightPlan
    config: RunConfig
    cache: Path  # of the workspace
    folder: Path

    @classmethod
    def of(cls, policy: Policy, plan: NightPlan, config: RunConfig, cache: Path, inputs: ReplayInputs) -> "Chain":
        code = code_key("studies.replay.play", "studies.replay.chain")
        identity = [code, inputs.key, asdict(policy), asdict(plan), to_dict(config)]
        return cls(policy, plan, config, cache, cache / "replay" / "chains" / sha256_json(identity)[:32])

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def finished(self) -> bool:
        return (self.folder / "cell.json").is_file()

    def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = read_json(self.folder / "cell.json")
        return found

    def nights(self) -> list[Path]:
        """The folders of the nights that are finished, in their order."""
        file = self.folder / "nights.json"
        return [self.cache / "replay" / "cells" / key for key in read_json(file)] if file.is_file() else []

    def request(self, inputs: ReplayInputs) -> dict[str, Any]:
        return {
            "policy": self.policy.name,
            "plan": asdict(self.plan),
            "config": to_dict(self.config),
            "cache": str(self.cache),
            "timeline": inputs.timeline,
            "cutoffs": inputs.cutoffs,
            "out": str(self.folder),
        }

    def start(self, inputs: ReplayInputs) -> Task:
        return Task("studies.replay.chain", self.folder / "task", self.request(inputs))


def _work(request: dict[str, Any]) -> None:
    from studies.replay.play import Stage, play_night
    from studies.replay.retrain import Bench
    from studies.replay.timeline import Timeline

    bench = Bench(Path(request["cache"]), from_dict(RunConfig, request["config"]))
    plan = from_dict(NightPlan, request["plan"])
    policy, out = parse_policy(request["policy"]), Path(request["out"])
    stage = Stage(bench, Timeline(Path(request["timeline"])), plan, tuple(request["cutoffs"]))
    champion, cells = stage.nobody(), list[str]()
    for number in range(plan.nights):
        emit("progress", name=f"night {number + 1}", done=number, total=plan.nights, unit="nights", rate=0)
        folder, champion = play_night(stage, policy, number, champion)
        cells.append(folder.name)
        write_json(out / "nights.json", cells)
    promoted = sum(read_json(bench.replay / "cells" / key / "cell.json")["promoted"] for key in cells)
    write_json(out / "cell.json", {"cells": cells, "promoted": promoted})


if __name__ == "__main__":
    sys.exit(serve(_work))
