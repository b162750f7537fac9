"""Test AUC and optimizer state with `train.id_optimizer` adam and rowwise: `python -m benchmarks.id_optimizer`.

Two worlds, with the settings of the preset `sample`: the versioned sample, with the embeddings that `mmctr run` left in
the workspace, where nearly every batch touches every item; and generated rows over many items, where a batch touches
few of them. Popularity and the best possible AUC differ between the two, so compare within a world only.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch

from benchmarks.machine import machine
from benchmarks.training import RESULTS
from components.artifacts import Artifacts
from components.batches.rows import RowStore
from components.batches.scoring import score
from components.dataset.sample import SampleSpec, write_sample
from components.statistics.auc import auc
from components.storage.files import read_json, write_json
from components.train import worker
from components.train.config import IdOptimizer, Recipe
from components.train.job import Job, prepare_job
from components.train.ranks import Ranks
from model import checkpoint
from pipelines.presets import preset

MANY_ITEMS = SampleSpec(items=20_000, train_rows=60_000, valid_rows=5_000, test_rows=20_000, content="item_info")


def newest_run(workspace: Path) -> Artifacts:
    runs = sorted(workspace.glob("runs/*/steps/*/embed/embeddings"))
    if not runs:
        raise SystemExit(f"{workspace}: holds no run with embeddings; make one with mmctr run --workspace {workspace}")
    steps = runs[-1].parents[1]
    return Artifacts(
        dataset=steps / "ingest" / "dataset", validation=steps / "validate" / "validation", embeddings=runs[-1]
    )


def generated(folder: Path, spec: SampleSpec) -> Artifacts:
    write_sample(folder, spec)
    write_json(folder / "quarantine.json", {})
    return Artifacts(dataset=folder, validation=folder, embeddings=folder)


def trainings(inputs: Artifacts, seeds: int, epochs: int | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """(id optimizer, what it gave), taking turns seed by seed."""
    config = preset("sample")
    settings = replace(config.train, device="cpu", max_epochs=epochs or config.train.max_epochs)
    with tempfile.TemporaryDirectory() as folder:
        test = RowStore.build(inputs.dataset / "test.parquet", Path(folder, "test"))
        for seed in range(1, seeds + 1):
            for kind in get_args(IdOptimizer):
                recipe = Recipe("sample", config.model, replace(settings, seed=seed, id_optimizer=kind))
                job = prepare_job(inputs, recipe, Path(folder, "work"))
                job.write()
                worker.run(job, lambda step, metrics: None)  # noqa: ARG005
                ranker = checkpoint.load(job.results / "model.safetensors", "cpu")
                area = auc(test.label, score(ranker, test))
                yield kind, {"test_auc": area, **state_bytes(job), **read_json(job.results / "summary.json")}


def state_bytes(job: Job) -> dict[str, int]:
    """The size of the optimizers' state after one step, of all weights and of the id and tag tables alone."""
    ranks = Ranks(0, 1, torch.device("cpu"))
    state, optimiser = worker.build(job, ranks)
    optimiser.step(*next(worker.data_of(job, ranks, job.rows()[0], state.ranker).batches(0, 0)))
    encoder = state.ranker.item_encoder
    tables = {id(table) for table in (encoder.id.weight, *encoder.features.lists())}
    sizes = [
        (id(parameter) in tables, value.nbytes)
        for optimizer in state.optimizers
        for parameter, kept in optimizer.state.items()
        for value in kept.values()
    ]
    return {"state_bytes": sum(n for _, n in sizes), "table_state_bytes": sum(n for table, n in sizes if table)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path(".mmctr"), help="where mmctr run has run the sample")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="at most; without it the preset's")
    parser.add_argument("--out", type=Path, default=RESULTS / "id-optimizer.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    worlds: dict[str, dict[str, list[dict[str, Any]]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for world, inputs in {
            "sample": newest_run(asked.workspace),
            f"{MANY_ITEMS.items:,} items": generated(Path(folder, "data"), MANY_ITEMS),
        }.items():
            runs = worlds.setdefault(world, {})
            for kind, found in trainings(inputs, asked.seeds, asked.epochs):
                runs.setdefault(kind, []).append(found)
                print(world, kind, found["seed"], round(found["test_auc"], 4), found["table_state_bytes"], flush=True)
                write_json(asked.out, {"machine": machine(), "preset": "sample", "threads": 1, "worlds": worlds})


if __name__ == "__main__":
    main()
