"""What all cells of a study read, made once by the pipeline's own steps and kept in the workspace."""

import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.dataset.layout import item_feature_path, item_info_path, split_path
from components.errors import StepError
from components.run_config import RunConfig
from components.schema.fitted import FEATURES
from components.settings import from_dict, to_dict
from components.storage.files import read_json, sha256_file, sha256_json, write_json
from components.storage.sources import code_key
from components.storage.verified import made_once
from studies.task import serve

_SAMPLING_SEED = 20261120  # of --rows: which rows are used must not depend on a run's seed


@dataclass(frozen=True)
class Inputs:
    """Folders and facts of a study's data. `key` names its content: rows used, rows measured, items."""

    key: str
    code: str  # of model and training: what else decides the weights
    dataset: str
    validation: str
    embeddings: str
    training: str  # the workspace's cache of trainings
    measured_rows: str  # converted rows of the split that is measured
    split: str
    split_note: str
    data: dict[str, Any]  # as results.json holds it
    baselines: dict[str, Any]


def prepare(request: dict[str, Any]) -> Inputs:
    """Ingests, validates and embeds what the workspace lacks, and chooses the rows to train on."""
    config = from_dict(RunConfig, request["config"])
    cache = Path(request["workspace"]) / "cache"
    (cache / "study").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incoming-", dir=cache / "study") as scratch:
        incoming = Path(scratch) / "dataset"
        data_md5, source = ingested(request, incoming, cache / "data")
        settings = [to_dict(config)[section] for section in ("validate", "embed")]
        code = code_key("components.validate.step", "components.embed.step")
        folder = cache / "study" / sha256_json([data_md5, *settings, code])[:32]
        made_once(folder, lambda making: _fill(making, incoming, config, cache / "embeddings"))
    return _described(folder, config, cache / "training", request["rows"], source)


def ingested(request: dict[str, Any], out: Path, cache: Path) -> tuple[str, dict[str, str]]:
    """The md5 of the data, and what results say about where it is from."""
    from components.ingest.step import ingest, ingest_folder

    if request["data"]:
        lineage = ingest_folder(Path(request["data"]), out)
        # Results get published: the folder's name tells which data it was, its path only whose machine.
        return lineage.data_md5, {"name": Path(request["data"]).resolve().name, "source": "a folder"}
    lineage = ingest(request["repository"], request["revision"], out, cache)
    commit = (lineage.data_commit or "")[:12]
    return lineage.data_md5, {"name": "versioned data", "source": f"data.dvc at {request['revision']} ({commit})"}


def _fill(folder: Path, incoming: Path, config: RunConfig, cache: Path) -> None:
    """The dataset, validated and embedded, in the folder of this data under these policies."""
    from components.embed.step import embed
    from components.validate.step import validate

    champion = folder / "champion"  # a study compares its arms with each other, never with the champion
    write_json(champion / "champion.json", {"version": None, "name": config.registered_name})
    for made in ("validation", "embeddings"):
        (folder / made).mkdir()
    incoming.rename(folder / "dataset")
    validate(folder / "dataset", champion, config.validate, folder / "validation")
    embed(folder / "dataset", champion, config.embed, cache, folder / "embeddings")


def _described(folder: Path, config: RunConfig, training: Path, wanted: int | None, source: dict[str, str]) -> Inputs:
    from components.batches.rows import RowStore
    from components.dataset.splits import measured_split, measuring_left_out, stopping_left_out
    from components.schema.fitted import read_features
    from components.train.job import CODE

    dataset, embeddings = folder / "dataset", folder / "embeddings"
    split, note = measured_split(dataset)
    validation, whole = with_fewer_rows(dataset, folder / "validation", wanted)
    left_out, encoder = read_json(validation / "quarantine.json"), read_features(validation)
    measured, stopping = measuring_left_out(dataset, left_out), stopping_left_out(dataset, left_out)
    train, valid, here = (
        RowStore.build(split_path(dataset, name), training / "rows", rows, encoder)
        for name, rows in (("train", left_out.get("train", ())), ("valid", stopping), (split, measured))
    )
    clicks = int(here.label.sum())
    if min(clicks, len(here) - clicks) < 2:
        raise StepError(f"{split} has {clicks} clicks among {len(here)} rows: an AUC needs two of each")
    names = [store.folder.name for store in (train, valid, here)]
    items = item_info_path(embeddings)
    features = item_feature_path(dataset)
    rows = {"train": whole, "used": len(train), "valid": len(valid), "test": _count(split_path(dataset, "test"))}
    rows[split] = len(here)
    return Inputs(
        key=sha256_json([*names, split, sha256_file(items), sha256_file(features), encoder.to_json()])[:32],
        code=code_key(CODE),
        dataset=str(dataset),
        validation=str(validation),
        embeddings=str(embeddings),
        training=str(training),
        measured_rows=str(here.folder),
        split=split,
        split_note=note,
        data={
            **source,
            "sha256": sha256_file(split_path(dataset, "train")),
            "rows": rows,
            "items": _count(items) - 1,
            "split": split,
        },
        baselines=_baselines(dataset, train, here, split, config),
    )


def with_fewer_rows(dataset: Path, validation: Path, wanted: int | None) -> tuple[Path, int]:
    """The validation that leaves all but `wanted` train rows out, and how many train rows there were.

    One row is drawn from each of `wanted` stretches of equal length. Every n-th row would be no fair choice: where
    each click comes with three rows that were not clicked, every fourth row is a click, or none is.
    """
    left_out = read_json(validation / "quarantine.json")
    whole = _count(split_path(dataset, "train"))
    kept = np.setdiff1d(np.arange(whole), np.asarray(left_out.get("train", []), dtype=np.int64))
    if wanted is None or wanted >= len(kept):
        return validation, len(kept)
    edges = np.linspace(0, len(kept), wanted + 1).astype(np.int64)
    chosen = np.random.default_rng(_SAMPLING_SEED).integers(edges[:-1], edges[1:])
    # Beside the cache entry that the validation is part of: an entry holds what it held when it was made.
    fewer = validation.parent.with_name(f"{validation.parent.name}-{wanted}-rows") / validation.name
    left_out["train"] = np.setdiff1d(np.arange(whole), kept[chosen]).tolist()
    write_json(fewer / "quarantine.json", left_out)
    if (validation / FEATURES).is_file():
        shutil.copyfile(validation / FEATURES, fewer / FEATURES)
    return fewer, len(kept)


def _baselines(dataset: Path, train: Any, here: Any, split: str, config: RunConfig) -> dict[str, Any]:
    from components.statistics.auc import auc
    from components.statistics.click_rate import click_rates

    rates = click_rates(train.item.astype(np.int64), train.label.astype(np.int64), config.evaluate.ctr_smoothing)
    # For generated data the best possible AUC on each whole split is known.
    truth = dataset / "truth.json"
    known = split == "test" and truth.is_file()
    return {
        "item_click_rate": auc(here.label, rates.of(here.item.astype(np.int64))[0]),
        "oracle": read_json(truth)["splits"][split]["auc"]["oracle"] if known else None,
    }


def _count(parquet: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(parquet).num_rows)


def _work(request: dict[str, Any]) -> None:
    write_json(Path(request["answer"]), asdict(prepare(request)))


if __name__ == "__main__":
    sys.exit(serve(_work))
