"""One cell of a study: one arm with one seed, trained by the train step and measured.

cell.json       its figures: no title, picture or text of the data
scores.npy      the click probability of every measured row, float32, for paired comparisons
examples.json   attention on real users' histories, where the study asks for it; it stays in the workspace
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.process.progress import emit
from components.run_config import RunConfig
from components.settings import config_hash, from_dict, to_dict
from components.storage.files import atomic_path, read_json, sha256_file, sha256_json, write_json
from studies.inputs import Inputs
from studies.locks import alone
from studies.task import serve

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FORMAT = 1
HISTORY_EDGES = (0, 1, 5, 10, 20, 50)  # first length of each bin
RARE = 10  # an item with fewer train rows is rare, with none unseen
SMALLEST_SLICE = 50  # rows; of a smaller one only the size is told


def cell_key(inputs: Inputs, config: RunConfig, attention: bool) -> str:
    """All that decides a cell's figures. Cheap, so that a study knows at once which of its cells are done."""
    from components.train.job import BYSTANDERS

    settings = {name: value for name, value in to_dict(config.train).items() if name not in BYSTANDERS}
    measuring = [sha256_file(Path(__file__))]
    if attention:
        measuring.append(sha256_file(Path(__file__).with_name("attention.py")))
    return sha256_json([FORMAT, inputs.key, inputs.code, to_dict(config.model), settings, measuring])[:32]


def measure_cell(inputs: Inputs, config: RunConfig, attention: bool, out: Path) -> None:
    """Trains, or finds it trained, and writes the cell's files, cell.json last."""
    from components.artifacts import Artifacts
    from components.batches.device import pick_device
    from components.batches.rows import RowStore
    from components.batches.scoring import score
    from components.train.job import prepare_job
    from components.train.step import train
    from model.checkpoint import load

    work = Path(inputs.training)
    made = Artifacts(
        dataset=Path(inputs.dataset), validation=Path(inputs.validation), embeddings=Path(inputs.embeddings)
    )
    job = prepare_job(made, config.recipe, work)
    with tempfile.TemporaryDirectory(prefix=".training-", dir=out) as scratch:
        with alone(work / "locks" / job.key):
            summary = train(made, config.recipe, work, Path(scratch))
        device = pick_device(config.train.device)
        ranker = load(Path(scratch) / "model.safetensors", device)
        curves = read_json(Path(scratch) / "curves.json")
    emit("measure")
    rows = RowStore.open(Path(inputs.measured_rows))
    scores = score(ranker, rows, config.evaluate.batch_size, device)
    figures: dict[str, Any] = {
        "training": summary, "curves": curves["epochs"], "config_hash": config_hash(config),
        "split": inputs.split, "attention": None,
        **measured(scores.astype(np.float64), rows, job.rows()[0].item),
    }  # fmt: skip
    if attention:
        from studies.attention import analyse

        found = analyse(ranker, rows, made.dataset)
        figures["attention"] = found["summary"]
        write_json(out / "examples.json", found["examples"])
    with atomic_path(out / "scores.npy") as path, path.open("wb") as file:
        np.save(file, scores, allow_pickle=False)
    write_json(out / "cell.json", figures)


def measured(scores: Floats, rows: Any, train_items: npt.NDArray[Any]) -> dict[str, Any]:
    """AUC, log loss, AUC within users, and the AUC of slices."""
    from model.metrics import auc, grouped_auc, log_loss

    labels, items = rows.label.astype(np.int64), rows.item.astype(np.int64)
    try:
        within = grouped_auc(labels, scores, rows.user)
    except ValueError:  # no user has both a click and a row without one
        within = None
    shown = np.bincount(train_items, minlength=int(items.max()) + 1)[items]
    return {
        "auc": auc(labels, scores),
        "log_loss": log_loss(labels, scores),
        "grouped_auc": within,
        "slices": {
            "history": sliced(labels, scores, history_bins(rows.lengths)),
            "items": sliced(labels, scores, {
                "unseen": shown == 0, f"rare (1-{RARE - 1})": (shown > 0) & (shown < RARE), "known": shown >= RARE,
            }),
        },
    }  # fmt: skip


def history_bins(lengths: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.bool_]]:
    """Rows by how many real items their history holds, whatever part of it the ranker reads."""
    bins = {}
    for low, high in zip(HISTORY_EDGES, [*HISTORY_EDGES[1:], None], strict=True):
        if high is None:
            bins[f"{low}+"] = lengths >= low
        else:
            bins[str(low) if high == low + 1 else f"{low}-{high - 1}"] = (lengths >= low) & (lengths < high)
    return bins


def sliced(labels: Ints, scores: Floats, masks: dict[str, npt.NDArray[np.bool_]]) -> list[dict[str, Any]]:
    from model.metrics import auc

    slices = []
    for name, mask in masks.items():
        rows, clicks = int(mask.sum()), int(labels[mask].sum())
        if not rows:
            continue
        enough = rows >= SMALLEST_SLICE and 0 < clicks < rows
        slices.append({"name": name, "rows": rows, "auc": auc(labels[mask], scores[mask]) if enough else None})
    return slices


def _work(request: dict[str, Any]) -> None:
    config = from_dict(RunConfig, request["config"])
    measure_cell(Inputs(**request["inputs"]), config, request["attention"], Path(request["out"]))


if __name__ == "__main__":
    sys.exit(serve(_work))
