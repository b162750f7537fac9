"""What reads the product's caches and artifacts: the steps as Kubeflow runs them, prediction, review, studies.

Each reader returns what it made in a form that is equal when the content is. Times and counts of cache hits are left
out. Readers run in processes of their own (isolated.py), each on the workspace as the fault left it.
"""

import inspect
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from components import ops
from components.errors import StepError
from components.predict.batch import predict
from components.predict.config import PredictConfig
from components.process.progress import EVENTS_VARIABLE
from components.register.package import weights_hash
from components.review import decide
from components.run_config import RunConfig
from components.settings import to_dict
from components.storage.files import read_json, sha256_file
from components.tracking.models import Models
from components.tracking.server import URI_VARIABLE, connect
from components.tracking.tags import facts_of
from pipelines.presets import resolve
from studies.inputs import prepare
from tests.chaos.reference import SETTINGS

ADA = decide.Reviewer("Ada", "a fault run")
WAITING = "waiting"  # a second registered model, whose only version waits for approval
ARTIFACTS = {
    "dataset": "ingest",
    "images": "ingest",
    "lineage": "ingest",
    "champion": "fetch-champion",
    "validation": "validate",
    "embeddings": "embed",
    "training": "train",
    "evaluation": "evaluate",
    "decision": "gate",
}
MADE = {"validate": "validation", "embed": "embeddings", "train": "training", "evaluate": "evaluation"}
MADE |= {"gate": "decision", "register": "registration", "ingest": "dataset", "fetch_champion": "champion"}
MADE |= {"encode_shard": "encoded"}


@dataclass(frozen=True)
class Place:
    """Where everything lies that a fault may hit: one workspace after a run, an approval and a prediction."""

    workspace: Path
    steps: Path  # artifacts of the run's steps; its champion is the approved version
    data: Path
    repository: Path  # of versioned data
    registry: str = ""  # MLflow's address; empty: the SQLite file in the workspace

    @property
    def uri(self) -> str:
        return self.registry or f"sqlite:///{self.workspace / 'mlflow.db'}"

    def models(self, name: str = "mmctr") -> Models:
        return Models(connect(self.uri), name)

    def artifact(self, name: str) -> Path:
        return self.steps / ARTIFACTS[name] / name


def config_of(name: str = "mmctr", epochs: int = 1) -> RunConfig:
    config = resolve("sample", [*SETTINGS, f"train.max_epochs={epochs}"])
    return replace(config, registered_name=name, experiment=name)


def run_step(place: Place, step: str, out: Path, config: RunConfig, source: str = "") -> None:
    """One step as Kubeflow runs it, its inputs the artifacts in `place`, its outputs below `out`."""
    events = place.steps.parent / f"events-{os.getpid()}.jsonl"  # not in the workspace, whose disk may be full
    events.unlink(missing_ok=True)
    os.environ |= {URI_VARIABLE: place.uri, EVENTS_VARIABLE: str(events)}
    out.mkdir(parents=True)
    given: dict[str, Any] = {
        "config": json.dumps(to_dict(config)),
        "pipeline_run": f"{step}-{out.name}",
        "workspace": str(place.workspace),
        "reports": [],
        "shard": 0,
        "repository": source,
        "revision": "two",
        "folder": "" if source else str(place.data),
    }
    function = getattr(ops, step).python_func
    outputs = ("registration", "lineage", "images", "dataset", MADE[step]) if step == "ingest" else (MADE[step],)
    for name in inspect.signature(function).parameters:
        if name not in given:
            path = out / name if name in outputs else place.artifact(name)
            given[name] = SimpleNamespace(path=str(path))
    try:
        function(**{name: given[name] for name in inspect.signature(function).parameters})
    except SystemExit:
        told = [json.loads(line) for line in events.read_text().splitlines()]
        raise StepError(next(event["cause"] for event in told if event.get("state") == "failed")) from None
    finally:
        events.unlink(missing_ok=True)


def read_step(place: Place, step: str) -> Any:
    name = f"registered-{os.getpid()}" if step == "register" else "mmctr"
    with tempfile.TemporaryDirectory(dir=place.workspace) as scratch:
        out = Path(scratch) / "out"
        if step == "embed":
            run_step(place, "encode_shard", Path(scratch) / "encoded", config_of(name))
        run_step(place, step, out, config_of(name))
        if step == "register":
            facts = facts_of(place.models(name).version(1).tags)
            return {key: facts[f"{key}_sha256"] for key in ("weights", "embeddings")} | {
                "data": facts["data_md5"],
                "metrics": decide.inspect(place.models(name), 1)["metrics"],
            }
        return _made(step, out / MADE[step])


def read_images(place: Place) -> Any:
    """As a run does it: ingest puts the images into the workspace, and validate reads them from there."""
    with tempfile.TemporaryDirectory(dir=place.workspace) as scratch:
        run_step(place, "ingest", Path(scratch) / "ingested", config_of())
    return read_step(place, "validate")


def _made(step: str, made: Path) -> Any:
    if step == "train":
        return [weights_hash(made / "model.safetensors"), read_json(made / "curves.json")]
    if step == "embed":
        return [sha256_file(made / "item_info.parquet"), sha256_file(made / "projection.npz")]
    if step == "ingest":
        return {path.name: sha256_file(path) for path in sorted(made.glob("*.parquet"))}
    if step == "fetch_champion":
        return {path.name: sha256_file(path) for path in sorted(made.rglob("*")) if path.is_file()}
    names = {"validate": ("statistics.json", "verdict.json", "quarantine.json"), "evaluate": ("metrics.json",)}
    return [read_json(made / name) for name in names.get(step, ("verdict.json",))]


def read_versioned_data(place: Place) -> Any:
    with tempfile.TemporaryDirectory(dir=place.workspace) as scratch:
        run_step(place, "ingest", Path(scratch) / "out", config_of(), str(place.repository))
        return _made("ingest", Path(scratch) / "out" / "dataset")


def resume_training(place: Place) -> Any:
    """Of two epochs; a training that was killed in its second one lies in the workspace."""
    with tempfile.TemporaryDirectory(dir=place.workspace) as scratch:
        run_step(place, "train", Path(scratch) / "out", config_of(epochs=2))
        return _made("train", Path(scratch) / "out" / "training")


def read_scores(place: Place, out: str = "new.parquet") -> Any:
    path = place.workspace / out
    path.unlink(missing_ok=True)
    predict(place.data, path, place.models(), place.workspace, PredictConfig())
    return sha256_file(path)


def read_scores_anew(place: Place) -> Any:
    """From the registry, not from this machine's copies of the package and the rows."""
    shutil.rmtree(place.workspace / "cache" / "models", ignore_errors=True)
    return read_scores(place)


def resume_prediction(place: Place) -> Any:
    return read_scores(place, "unfinished.parquet")


def read_approval(place: Place) -> Any:
    decide.approve(place.models(WAITING), 1, ADA)
    seen = decide.inspect(place.models(WAITING), 1)
    return [seen["registry"].champion, seen["metrics"], seen["verdict"]]


def read_review(place: Place) -> Any:
    seen = decide.inspect(place.models(), 1)
    return [seen["registry"].champion, seen["registry"].book.hashes, seen["metrics"], seen["verdict"]]


def read_study(place: Place) -> Any:
    workspace = str(place.workspace / "study")
    made = prepare({"config": to_dict(config_of()), "data": str(place.data), "rows": None, "workspace": workspace})
    read = (Path(made.dataset) / "train.parquet", Path(made.embeddings) / "item_info.parquet")
    return [made.key, *(sha256_file(path) for path in read)]
