"""How well a ranker scores items that its training never saw: `python -m benchmarks.new_items`.

A fifth of the items are withheld: their rows leave train and valid, and they leave the histories there. Where the rows
stand in the order of time (MovieLens) they are the items that appeared last, elsewhere (the sample) items at random.
Measured is the AUC over their test rows, of a ranker that was trained on them, of padding (as serving scores an unknown
item), and of rankers that score them by content with each kind of id embedding in benchmarks/untrained_ids.py.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.id_optimizer import newest_run
from benchmarks.machine import machine
from benchmarks.training import RESULTS
from benchmarks.untrained_ids import Kind, ids_of_kind
from components.artifacts import Artifacts
from components.batches.rows import RowStore
from components.batches.scoring import score
from components.dataset.layout import HISTORY, ITEM
from components.run_config import RunConfig
from components.statistics.auc import auc
from components.storage.files import read_json, write_json
from components.train import worker
from components.train.config import Recipe
from components.train.job import prepare_job
from model import checkpoint, presets
from model.ranker import Ranker
from pipelines.presets import preset

SHARE = 0.2  # of the items are withheld
Ids = npt.NDArray[np.int64]


def recipe(world: str) -> RunConfig:
    """As the studies of that data set have it."""
    if world == "sample":
        return preset("sample")
    config = preset("study")
    train = replace(config.train, learning_rate=2e-3, batch_size=512)
    return replace(config, model=replace(presets.best("small"), history_length=10), train=train)


def withheld_items(dataset: Path, world: str) -> Ids:
    items = pq.read_table(dataset / "train.parquet", columns=[ITEM]).column(ITEM).to_numpy()
    ids, first = np.unique(items, return_index=True)
    order = np.argsort(first) if world == "movielens" else np.random.default_rng(1).permutation(len(ids))
    return np.sort(ids[order[-int(SHARE * len(ids)) :]])


def without(inputs: Artifacts, items: Ids, folder: Path) -> Artifacts:
    """The same data as if these items had come later."""
    dataset, validation = folder / "dataset", folder / "validation"
    dataset.mkdir(parents=True)
    validation.mkdir()
    left_out, withheld = read_json(inputs.validation / "quarantine.json"), set(items.tolist())
    for name in ("train", "valid"):
        table = pq.read_table(inputs.dataset / f"{name}.parquet")
        kept = ~np.isin(table.column(ITEM).to_numpy(), items)
        kept[left_out.get(name, [])] = False
        table = table.filter(pa.array(kept))
        histories = [[i for i in history if i not in withheld] for history in table.column(HISTORY).to_pylist()]
        column = pa.array(histories, pa.list_(pa.int64()))
        table = table.set_column(table.schema.get_field_index(HISTORY), HISTORY, column)
        pq.write_table(table, dataset / f"{name}.parquet")
    for file in ("item_feature.parquet", "test.parquet"):
        (dataset / file).symlink_to((inputs.dataset / file).resolve())
    write_json(validation / "quarantine.json", {})
    for made in inputs.validation.glob("features.json"):
        (validation / made.name).symlink_to(made.resolve())
    return Artifacts(dataset=dataset, validation=validation, embeddings=inputs.embeddings)


def trained(inputs: Artifacts, config: RunConfig, work: Path) -> Ranker:
    job = prepare_job(inputs, Recipe(config.preset, config.model, config.train), work)
    job.write()
    if not job.finished:
        worker.run(job, lambda step, metrics: None)  # noqa: ARG005
    return checkpoint.load(job.results / "model.safetensors", "cpu")


def with_ids(ranker: Ranker, kind: Kind) -> Ranker:
    """The ranker after the untrained items got id embeddings of this kind."""
    seen_N, content_NC = ranker.table.seen_N, ranker.table.content_NC
    weight_NE = ranker.item_encoder.id.weight.data
    weight_NE[~seen_N] = ids_of_kind(kind, weight_NE[seen_N], content_NC[seen_N], content_NC[~seen_N])
    weight_NE[0] = 0.0
    return ranker


def measured(
    inputs: Artifacts, world: str, seeds: int, dropouts: list[float], folder: Path
) -> Iterator[dict[str, Any]]:
    items = withheld_items(inputs.dataset, world)
    fewer = without(inputs, items, folder / world)
    test = RowStore.build(inputs.dataset / "test.parquet", folder / world / "rows")
    new = np.isin(test.item, items)
    known, ever = (
        np.isin(test.item, pq.read_table(made.dataset / "train.parquet", columns=[ITEM]).column(ITEM).to_numpy())
        for made in (fewer, inputs)
    )

    def figures(scores: npt.NDArray[np.float64]) -> dict[str, float]:
        parts = {"new": new, "known": known, "never in train": ~ever, "all": np.ones(len(test), bool)}
        return {name: auc(test.label[rows], scores[rows]) for name, rows in parts.items()}

    sizes = {"new": int(new.sum()), "known": int(known.sum()), "never in train": int((~ever).sum()), "all": len(test)}
    yield {"arm": "rows", "items withheld": len(items), **sizes}
    for seed in range(1, seeds + 1):
        for dropout in dropouts:
            config = recipe(world)
            settings = replace(config.train, seed=seed, device="cpu")
            config = replace(config, model=replace(config.model, id_dropout=dropout), train=settings)
            about = {"seed": seed, "id_dropout": dropout}
            if dropout == dropouts[0]:
                everything = trained(inputs, config, folder / "work")
                yield {"arm": "trained on them", **about, **figures(score(everything, test))}
            ranker = trained(fewer, config, folder / "work")
            seen = np.ones(ranker.vocabulary.items, dtype=bool)
            seen[items] = False
            yield {"arm": "padding", **about, **figures(score(ranker, test, known=seen))}
            for kind in get_args(Kind):
                yield {"arm": kind, **about, **figures(score(with_ids(ranker, kind), test))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=Path, default=Path(".mmctr"), help="where mmctr run has run the sample")
    parser.add_argument("--movielens", type=Path, help="where mmctr run has run MovieLens")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dropouts", type=float, nargs="+", default=[0.0, 0.1, 0.3])
    parser.add_argument("--out", type=Path, default=RESULTS / "new_items.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    worlds: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for world, workspace in (("sample", asked.sample), ("movielens", asked.movielens)):
            if workspace is None:
                continue
            runs = worlds.setdefault(world, [])
            for found in measured(newest_run(workspace), world, asked.seeds, asked.dropouts, Path(folder)):
                runs.append(found)
                print(
                    world, {name: round(v, 4) if isinstance(v, float) else v for name, v in found.items()}, flush=True
                )
                write_json(asked.out, {"machine": machine(), "threads": 1, "worlds": worlds})


if __name__ == "__main__":
    main()
