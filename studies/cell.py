"""One cell of a study: one arm with one seed, trained by the train step and measured.

cell.json       its figures: no title, picture or text of the data
scores.npy      the click probability of every measured row, float64, for paired comparisons
examples.json   attention on real users' histories, where the study asks for it; it stays in the workspace
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from components.process.progress import emit
from components.run_config import RunConfig
from components.settings import config_hash, from_dict, to_dict
from components.storage.files import atomic_path, read_json, sha256_json, write_json
from components.storage.sources import code_key
from studies.inputs import Inputs
from studies.task import serve

FORMAT = 1


def cell_key(inputs: Inputs, config: RunConfig, attention: bool) -> str:
    """A hash of everything that decides a cell's figures. It is cheap, so a study knows at once which cells are
    finished.
    """
    import torch

    from components.train.job import WITHOUT_EFFECT_ON_WEIGHTS

    settings = {name: value for name, value in to_dict(config.train).items() if name not in WITHOUT_EFFECT_ON_WEIGHTS}
    measuring = code_key("components.batches.scoring", "studies.measure", *["studies.attention"] * attention)
    code = [FORMAT, torch.__version__, inputs.code, measuring]
    return sha256_json([*code, inputs.key, to_dict(config.model), settings])[:32]


def measure_cell(inputs: Inputs, config: RunConfig, attention: bool, out: Path) -> None:
    """Trains the arm, or finds it trained, and writes the cell's files, cell.json last."""
    from components.artifacts import Artifacts
    from components.batches.device import pick_device
    from components.batches.rows import RowStore
    from components.batches.scoring import score_as_sampled
    from components.train.job import prepare_job
    from components.train.step import train
    from model.checkpoint import load
    from studies.measure import measured

    work = Path(inputs.training)
    made = Artifacts(
        dataset=Path(inputs.dataset), validation=Path(inputs.validation), embeddings=Path(inputs.embeddings)
    )
    job = prepare_job(made, config.recipe, work)
    with tempfile.TemporaryDirectory(prefix=".training-", dir=out) as scratch:
        summary = train(made, config.recipe, work, Path(scratch))
        device = pick_device(config.train.device)
        ranker = load(Path(scratch) / "model.safetensors", device)
        curves = read_json(Path(scratch) / "curves.json")
    emit("measure")
    rows = RowStore.open(Path(inputs.measured_rows))
    scores = score_as_sampled(ranker, rows, config.evaluate.batch_size, device)
    figures: dict[str, Any] = {
        "training": summary,
        "curves": curves["epochs"],
        "config_hash": config_hash(config),
        "split": inputs.split,
        "attention": None,
        **measured(scores, rows, job.rows()[0].item),
    }
    if attention:
        from studies.attention import analyse

        found = analyse(ranker, rows, made.dataset)
        figures["attention"] = found["summary"]
        write_json(out / "examples.json", found["examples"])
    with atomic_path(out / "scores.npy") as path, path.open("wb") as file:
        np.save(file, scores, allow_pickle=False)
    write_json(out / "cell.json", figures)


def _work(request: dict[str, Any]) -> None:
    config = from_dict(RunConfig, request["config"])
    measure_cell(Inputs(**request["inputs"]), config, request["attention"], Path(request["out"]))


if __name__ == "__main__":
    sys.exit(serve(_work))
