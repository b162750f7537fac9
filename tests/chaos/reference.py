"""The undisturbed run that all others are compared with, made once: its data, its workspace, what it registered."""

import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from components.dataset.sample import SIZES, write_sample
from components.packages.format import package_hash
from components.storage.files import read_json, write_json
from components.tracking.models import Models
from components.tracking.server import connect
from components.tracking.tags import PACKAGE_HASH, facts_of
from tests import local_run
from tests.chaos.isolated import run_isolated
from tests.chaos.record import WrongError

# One epoch on 600 rows learns nothing: here the pipeline is tested, not the model. Checkpoints at every step.
SETTINGS = (
    *local_run.SETTINGS,
    "train.max_epochs=1",
    "train.batch_size=64",
    "train.checkpoint_steps=1",
    "gate.auc_floor=0.3",
    "embed.image_encoder=none",
    "embed.dimension=8",
    "model.content_dim=8",
)
SAME = ("weights", "config", "embeddings")  # hashes among the facts of a version; the data has another name
STEPS = (
    *("ingest", "fetch-champion", "validate", "decide", "encode-shard", "embed"),
    *("train", "evaluate", "gate", "register"),
)


@dataclass(frozen=True)
class Reference:
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def workspace(self) -> Path:
        return self.folder / "undisturbed"

    @property
    def made(self) -> dict[str, str]:
        made: dict[str, str] = read_json(self.folder / "made.json")
        return made

    @property
    def steps(self) -> Path:
        """The folder with the artifacts of all steps of the undisturbed run."""
        (found,) = self.workspace.glob("runs/*/steps/*/")
        return found

    def command(self, workspace: Path) -> list[str]:
        return local_run.command(workspace, self.data, *(word for setting in SETTINGS for word in ("--set", setting)))

    def run(self, workspace: Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(workspace),
            env=local_run.environment(),
            cwd=local_run.ROOT,
            text=True,
            capture_output=True,
            timeout=1800,
        )


def reference(folder: Path) -> Reference:
    found = Reference(folder)
    if not (folder / "made.json").is_file():
        shutil.rmtree(found.workspace, ignore_errors=True)  # of an undisturbed run that was broken off
        write_sample(found.data, replace(SIZES["tiny"], items=40, train_rows=600, valid_rows=200, test_rows=300))
        done = found.run(found.workspace)
        if done.returncode:
            raise SystemExit(f"the undisturbed run failed:\n{done.stdout}{done.stderr}")
        # In a process of its own: this one must not hold open the registry's file, which each fault replaces.
        seen = run_isolated(registered, found.workspace, folder=folder / "scratch")
        if seen.value is None:
            raise SystemExit(f"the undisturbed run is not whole: {seen.told}{seen.crashed}")
        write_json(folder / "made.json", seen.value)
    return found


def registered(workspace: Path) -> dict[str, Any]:
    """What a workspace's registry holds, when it holds exactly one whole version."""
    models = Models(connect(f"sqlite:///{workspace / 'mlflow.db'}"), "mmctr")
    versions, aliases = models.versions(), models.aliases()
    if len(versions) != 1 or aliases != {"challenger": 1}:
        raise WrongError(f"registered are {len(versions)} versions with aliases {aliases}, not one challenger")
    tags = versions[0].tags
    files = models.download(1, workspace / "downloaded")
    if package_hash(files) != tags[PACKAGE_HASH]:
        raise WrongError("the files of version 1 are not those whose hash it carries")
    facts = facts_of(tags)
    return {name: facts[f"{name}_sha256"] for name in SAME} | {"data": facts["data_md5"]}
