"""What one training works on: a folder that holds all its inputs, its checkpoints and, at the end, its results.

    job.json        the run's config, and which converted rows it uses
    items.npz       the item table
    snapshots/      checkpoints while it trains
    best-*.safetensors
    metrics.jsonl   what it reports while it trains, one line a report
    results/        model.safetensors, curves.json, summary.json: there when the training is finished, and only then

The folder is named by a hash of everything that decides the weights, so the same training is never done twice, and a
worker on another machine needs nothing but the folder that holds it and the rows beside it.
"""

import dataclasses
import hashlib
import itertools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import components.batches
import components.train
import model
from components.artifacts import Artifacts
from components.batches.item_table import item_arrays, seen_items
from components.batches.rows import RowStore
from components.dataset.layout import item_info_path, split_path
from components.dataset.splits import stopping_left_out
from components.errors import StepError
from components.settings import from_dict, to_dict
from components.storage.files import atomic_path, read_json, sha256_json, write_json
from components.train.config import Recipe

RESULTS = ("model.safetensors", "curves.json", "summary.json")
# Fields of TrainConfig that leave the weights as they are.
BYSTANDERS = ("launcher", "checkpoint_minutes", "checkpoint_steps", "restarts", "runtime", "queue")


@dataclass(frozen=True)
class Job:
    folder: Path
    recipe: Recipe
    train_rows: str
    valid_rows: str

    @property
    def key(self) -> str:
        return self.folder.name

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def finished(self) -> bool:
        return self.results.is_dir()

    def rows(self) -> tuple[RowStore, RowStore]:
        beside = self.folder.parent / "rows"
        return RowStore.open(beside / self.train_rows), RowStore.open(beside / self.valid_rows)

    def items(self) -> dict[str, npt.NDArray[Any]]:
        with np.load(self.folder / "items.npz") as file:
            return dict(file)

    def best(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch:06d}.safetensors"

    def publish(self, model: Path, curves: dict[str, Any], summary: dict[str, Any]) -> None:
        """Makes the results appear at once and whole."""
        scratch = Path(tempfile.mkdtemp(prefix=".results-", dir=self.folder))
        try:
            with atomic_path(scratch / "model.safetensors") as path:
                shutil.copyfile(model, path)
            write_json(scratch / "curves.json", curves)
            write_json(scratch / "summary.json", summary)
            scratch.chmod(0o755)
            scratch.rename(self.results)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def discard_best(self) -> None:
        """The copies of the best weights, from which the results were made: a gigabyte each at the challenge's size."""
        for path in self.folder.glob("best-*.safetensors"):
            path.unlink()

    def copy_results(self, out: Path) -> None:
        for name in RESULTS:
            with atomic_path(out / name) as path:
                shutil.copyfile(self.results / name, path)


def code_hash() -> str:
    """The sources that decide the weights: a mended loss or sampler must train anew, a mended report must not."""
    sources = [
        sorted(Path(package.__path__[0]).glob("*.py")) for package in (model, components.batches, components.train)
    ]
    digest = hashlib.sha256()
    for path in itertools.chain(*sources):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def open_job(folder: Path) -> Job:
    saved = read_json(folder / "job.json")
    return Job(folder, from_dict(Recipe, saved["recipe"]), saved["train_rows"], saved["valid_rows"])


def prepare_job(made: Artifacts, recipe: Recipe, work: Path) -> Job:
    """Converts the inputs and lays them down under `work`, unless an earlier call of the same training has."""
    if "://" in str(work) or str(work).startswith("s3:"):
        raise StepError(
            f"{work}: rows are mapped into memory and checkpoints renamed into place, so it must be a folder"
        )
    work = work.resolve()  # workers are told this path
    quarantined = read_json(made.validation / "quarantine.json")
    left_out = {"train": quarantined.get("train", ()), "valid": stopping_left_out(made.dataset, quarantined)}
    train_rows, valid_rows = (
        RowStore.build(split_path(made.dataset, split), work / "rows", rows) for split, rows in left_out.items()
    )
    arrays = item_arrays(item_info_path(made.embeddings), made.dataset)
    _check(train_rows, valid_rows, len(arrays["tags"]), made.dataset)
    arrays["seen"] = seen_items(train_rows, len(arrays["tags"]))
    settings = {k: v for k, v in to_dict(recipe.train).items() if k not in BYSTANDERS}
    identity = [code_hash(), torch.__version__, train_rows.folder.name, valid_rows.folder.name, _hash(arrays),
                dataclasses.asdict(recipe.model), settings]  # fmt: skip
    job = Job(work / sha256_json(identity)[:32], recipe, train_rows.folder.name, valid_rows.folder.name)
    job.folder.mkdir(parents=True, exist_ok=True)
    if not (job.folder / "items.npz").is_file():
        with atomic_path(job.folder / "items.npz") as path, path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    write_json(
        job.folder / "job.json",
        {"recipe": to_dict(recipe), "train_rows": job.train_rows, "valid_rows": job.valid_rows},
    )
    return job


def _check(train_rows: RowStore, valid_rows: RowStore, items: int, dataset: Path) -> None:
    for name, rows in (("train", train_rows), ("valid", valid_rows)):
        if not len(rows):
            raise StepError(
                f"{dataset}: no rows of {name}.parquet are left to use; see the validation's quarantine.json"
            )
        labels = rows.label
        if labels.min() == labels.max():
            raise StepError(f"{dataset}: every row of {name}.parquet has the label {labels[0]}; nothing can be learned")
        if rows.max_item >= items:
            raise StepError(f"{dataset}: {name}.parquet names item {rows.max_item}, the embeddings end at {items - 1}")


def _hash(arrays: dict[str, npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name}{arrays[name].dtype}{arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()
