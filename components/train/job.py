"""What one training works on: a folder that holds all its inputs, its checkpoints and, at the end, its results.

    job.json        the run's config, and which converted rows and which item table it uses
    snapshots/      checkpoints while it trains
    best-*.safetensors
    metrics.jsonl   what it reports while it trains, one line a report
    results/        model.safetensors, curves.json, summary.json: there when the training is finished, and only then

The folder is named by a hash of everything that decides the weights, so the same training is never done twice, and a
worker on another machine needs only the folder that holds it, and the rows, items and champions next to it. Those are
written once for all trainings that use them. In this folder the item table is only in the results: it is as large as
the catalogue, and training does not change it.
"""

import dataclasses
import hashlib
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from components.artifacts import Artifacts
from components.batches.item_table import item_arrays, seen_items
from components.batches.rows import RowStore
from components.dataset.layout import item_info_path, split_path
from components.dataset.splits import stopping_left_out
from components.errors import StepError
from components.packages.format import RANKER
from components.schema.encoder import Encoder
from components.schema.fitted import FEATURES, read_features
from components.settings import from_dict, to_dict
from components.storage.files import atomic_path, link_or_copy, read_json, sha256_file, sha256_json, write_json
from components.storage.sources import code_key
from components.storage.verified import made_once, require
from components.train.admission import admitted_items
from components.train.config import Recipe
from components.train.start import Start, decide_start
from model import checkpoint
from model.ranker import Ranker

RESULTS = ("model.safetensors", "curves.json", "summary.json")
CODE = "components.train.worker"  # what it imports decides the weights
WITHOUT_EFFECT_ON_WEIGHTS = (
    "launcher",
    "checkpoint_minutes",
    "checkpoint_steps",
    "silence_minutes",
    "restarts",
    "runtime",
    "queue",
)
# Without effect on a start from scratch:
OF_A_WARM_START = (
    "start",
    "replay_share",
    "pull_to_champion",
    "cold_above_drift",
    "cold_after_refusals",
    "max_chain",
)


@dataclass(frozen=True)
class Job:
    folder: Path
    recipe: Recipe
    train_rows: str
    valid_rows: str
    item_table: str
    start: Start

    @property
    def key(self) -> str:
        return self.folder.name

    @property
    def lock(self) -> Path:
        """Held by the step that trains; another run of the same training waits for it, and finds the results."""
        return self.folder.with_name(f"{self.key}.lock")

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
        rows = self.folder.parent / "rows"
        return RowStore.open(rows / self.train_rows), RowStore.open(rows / self.valid_rows)

    def _item_folder(self) -> Path:
        folder = self.folder.parent / "items" / self.item_table
        require(folder, "run the command again; it writes the item table anew")
        return folder

    def features(self) -> Encoder:
        return read_features(self._item_folder())

    def items(self) -> dict[str, npt.NDArray[Any]]:
        """Maps of the files, which all processes of this host share; what one writes to them, it alone sees."""
        folder = self._item_folder()
        return {path.stem: np.load(path, mmap_mode="c") for path in sorted(folder.glob("*.npy"))}

    def champion(self) -> Ranker:
        """The ranker that the training starts from."""
        folder = self.start.folder(self.folder.parent)
        require(folder, "run the command again; it copies the champion anew")
        return checkpoint.load(folder / RANKER)

    def write(self) -> None:
        """What a worker reads. Called with the lock held: another run's recipe may name another launcher."""
        self.folder.mkdir(parents=True, exist_ok=True)
        names = {"train_rows": self.train_rows, "valid_rows": self.valid_rows, "item_table": self.item_table}
        saved = {"recipe": to_dict(self.recipe), **names, "start": dataclasses.asdict(self.start)}
        write_json(self.folder / "job.json", saved)

    def best(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch + 1:06d}.safetensors"  # epoch -1: as it was before the first

    def save_best(self, ranker: Ranker, epoch: int) -> str:
        """Keeps the weights of the best epoch so far, and returns the file's sha256."""
        path = self.best(epoch)
        with written_or_reason(path), atomic_path(path) as scratch:
            save_file({name: value.contiguous() for name, value in weights_of(ranker).items()}, scratch)
        # The file before the last one stays, because the snapshot before the last still names it.
        for older in sorted(self.folder.glob("best-*.safetensors"))[:-2]:
            older.unlink()
        return sha256_file(path)

    def holds_best(self, epoch: int, sha256: str) -> bool:
        """Whether the weights of the best epoch are there as they were written; before a first epoch there are none."""
        return not sha256 or (self.best(epoch).is_file() and sha256_file(self.best(epoch)) == sha256)

    def discard_best(self) -> None:
        for path in self.folder.glob("best-*.safetensors"):
            path.unlink(missing_ok=True)

    def load_best(self, ranker: Ranker, epoch: int) -> None:
        load_weights(ranker, load_file(self.best(epoch)))

    def publish(self, ranker: Ranker, about: dict[str, str], files: dict[str, Any]) -> None:
        """Makes all results appear at once: the ranker, and the JSON `files`."""

        def make(scratch: Path) -> None:
            checkpoint.save(scratch / "model.safetensors", ranker, about)
            for name, value in files.items():
                write_json(scratch / name, value)

        made_once(self.results, make)

    def copy_results(self, out: Path) -> None:
        for name in RESULTS:
            link_or_copy(self.results / name, out / name)


@contextmanager
def written_or_reason(path: Path) -> Iterator[None]:
    """A file of a training that can't be written is for a person to mend, and its last checkpoint stays."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise StepError(
            f"{path} could not be written on {platform.node()} ({error}): make room in its folder, or let it be "
            "written to, then run the same command again; it continues from the last checkpoint"
        ) from error


def weights_of(ranker: Ranker) -> dict[str, torch.Tensor]:
    """All that training changes: everything but the item table."""
    return {name: value for name, value in ranker.state_dict().items() if not name.startswith("table.")}


def load_weights(ranker: Ranker, weights: dict[str, torch.Tensor]) -> None:
    table = {f"table.{name}": value for name, value in ranker.table.state_dict().items()}
    ranker.load_state_dict({**weights, **table})


def open_job(folder: Path) -> Job:
    saved = read_json(folder / "job.json")
    recipe = from_dict(Recipe, saved["recipe"])
    start = Start(**saved["start"])
    return Job(folder, recipe, saved["train_rows"], saved["valid_rows"], saved["item_table"], start)


def prepare_job(made: Artifacts, recipe: Recipe, work: Path) -> Job:
    """Converts the inputs and writes them under `work`, unless an earlier training of the same data has."""
    if "://" in str(work) or str(work).startswith("s3:"):
        raise StepError(
            f"{work}: rows are mapped into memory and checkpoints renamed into place, so it must be a folder"
        )
    work = work.resolve()  # workers on other machines get this path
    quarantined = read_json(made.validation / "quarantine.json")
    encoder = read_features(made.validation)
    left_out = {"train": quarantined.get("train", ()), "valid": stopping_left_out(made.dataset, quarantined)}
    train_rows, valid_rows = (
        RowStore.build(split_path(made.dataset, split), work / "rows", rows, encoder)
        for split, rows in left_out.items()
    )
    arrays = item_arrays(item_info_path(made.embeddings), made.dataset, encoder)
    _check(train_rows, valid_rows, len(arrays["codes"]), made.dataset)
    arrays["seen"] = seen_items(train_rows, len(arrays["codes"]))
    if (admitted := admitted_items(train_rows, len(arrays["codes"]), recipe.train)) is not None:
        arrays["admitted"] = admitted
    items = sha256_json([_hash(arrays), encoder.to_json()])[:32]
    made_once(work / "items" / items, lambda scratch: _write_items(scratch, arrays, encoder))
    start = decide_start(made, recipe, arrays, encoder, work)
    without_effect = (*WITHOUT_EFFECT_ON_WEIGHTS, *(() if start.champion else OF_A_WARM_START))
    settings = {k: v for k, v in to_dict(recipe.train).items() if k not in without_effect}
    identity = {
        "code": code_key(CODE),
        "torch": torch.__version__,
        "rows": [train_rows.folder.name, valid_rows.folder.name],
        "items": items,
        "model": dataclasses.asdict(recipe.model),
        "train": settings,
        "champion": start.champion,
    }
    folder = work / sha256_json(identity)[:32]
    return Job(folder, recipe, train_rows.folder.name, valid_rows.folder.name, items, start)


def _write_items(folder: Path, arrays: dict[str, npt.NDArray[Any]], encoder: Encoder) -> None:
    write_json(folder / FEATURES, encoder.to_json())
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


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
