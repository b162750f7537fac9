"""evaluate: how good the candidate is, how certain that is, and how it compares with the champion and the baselines."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.artifacts import Artifacts
from components.batches.device import pick_device
from components.batches.rows import RowStore
from components.batches.scoring import score_as_sampled
from components.dataset.item_ids import read_item_ids, renumbered
from components.dataset.layout import ITEM, LABEL, TAGS, USER, split_path
from components.dataset.splits import measured_split, measuring_left_out, stopping_left_out
from components.diagnosis.diagnose import diagnose
from components.diagnosis.learning import Rows
from components.errors import StepError
from components.evaluate.baselines import Impressions, history_blind
from components.evaluate.config import EvaluateConfig
from components.evaluate.measure import Scored, finite, measure
from components.evaluate.slices import (
    Slice,
    content_slices,
    history_slices,
    novelty_slices,
    popularity_slices,
    tag_slices,
)
from components.packages.scores import ChampionScores, score_champion
from components.schema.challenge import VIEWS
from components.schema.encoder import NUMBERED, Encoder, ItemIds
from components.schema.fitted import raw_column, read_features
from components.statistics.auc import Floats, Ints
from components.statistics.click_rate import click_rates
from components.storage.files import atomic_path, read_json, write_json
from model.checkpoint import CheckpointError, load
from model.config import code_columns
from model.ranker import Ranker


def evaluate(made: Artifacts, config: EvaluateConfig, device_name: str, out: Path) -> dict[str, Any]:
    """Writes `metrics.json` and `predictions.parquet`, and returns the metrics."""
    quarantine = read_json(made.validation / "quarantine.json")
    split, note = measured_split(made.dataset)
    device = pick_device(device_name)
    with tempfile.TemporaryDirectory() as cache:
        left_out = measuring_left_out(made.dataset, quarantine)
        encoder = read_features(made.validation)

        def encoded(features: Encoder, ids: ItemIds) -> RowStore:
            renamed = renumbered(read_item_ids(made.dataset), ids)
            return RowStore.build(split_path(made.dataset, split), Path(cache), left_out, features, renamed)

        rows = encoded(encoder, NUMBERED)
        _check(rows, split)
        ranker = _load_candidate(made.training / "model.safetensors", rows, device)
        candidate = score_as_sampled(ranker, rows, config.batch_size, device)
        theirs = score_champion(made.champion, encoded, config.batch_size, device)
        train = read_impressions(split_path(made.dataset, "train"), quarantine.get("train", ()), encoder)
        metrics = _measure(rows, candidate, theirs, train, ranker, made.embeddings, config)
        metrics |= {"split": split, "split_note": note, "left_out_rows": len(quarantine.get(split, ()))}
        metrics["calibration"] = _calibration(ranker)
        metrics["oracle"] = _oracle(made.dataset, split)
        left_out_of_valid = stopping_left_out(made.dataset, quarantine)
        valid = RowStore.build(split_path(made.dataset, "valid"), Path(cache), left_out_of_valid, encoder)
        here = Rows(rows.label.astype(np.int64), candidate, np.asarray(rows.user, dtype=np.int64))
        curves = read_json(made.training / "curves.json")["epochs"]
        metrics["diagnosis"] = finite(diagnose(ranker, valid, here, split, curves, device))
        numbers = np.setdiff1d(np.arange(len(rows) + len(set(left_out))), left_out)
        _write_predictions(out / "predictions.parquet", numbers, rows, candidate, theirs.scores)
    write_json(out / "metrics.json", metrics)
    return metrics


def read_impressions(parquet: Path, exclude: list[int] | tuple[int, ...], encoder: Encoder) -> Impressions:
    table = pq.read_table(parquet, columns=[ITEM, LABEL, *(feature.name for feature in encoder.row)])
    left_out = np.asarray(exclude, dtype=np.int64)
    item, label = (np.delete(table.column(name).to_numpy().astype(np.int64), left_out) for name in (ITEM, LABEL))
    blocks = encoder.rows({feature.name: raw_column(table.column(feature.name)) for feature in encoder.row}, len(table))
    return Impressions(item, np.delete(np.concatenate(blocks, axis=1), left_out, axis=0), label)


def _measure(
    rows: RowStore,
    candidate: Floats,
    theirs: ChampionScores,
    train: Impressions,
    ranker: Ranker,
    embeddings: Path,
    config: EvaluateConfig,
) -> dict[str, Any]:
    item, label = rows.item.astype(np.int64), rows.label.astype(np.int64)
    here = Impressions(item, np.concatenate([rows.codes, rows.numbers], axis=1), label)
    baselines = {
        "item_click_rate": click_rates(train.items, train.labels, config.ctr_smoothing).of(item)[0],
        "history_blind": history_blind(train, here, config.ctr_smoothing, config.baseline_rows, config.seed),
    }
    manifest = read_json(embeddings / "manifest.json")
    slices = _slices(rows, item, ranker, manifest, config)
    user = np.asarray(rows.user, dtype=np.int64)
    scored = Scored(label, user, item, candidate, theirs.scores, theirs.known)
    metrics = measure(scored, baselines, slices, config)
    metrics["champion"] = {**theirs.facts, "scores": metrics.pop("champion_scores")}
    return metrics


def _slices(
    rows: RowStore, item: Ints, ranker: Ranker, manifest: dict[str, Any], config: EvaluateConfig
) -> list[Slice]:
    seen = np.flatnonzero(ranker.table.seen_N.cpu().numpy())
    tags_NT = ranker.table.codes_NX[:, code_columns(ranker.vocabulary.item)[TAGS]].cpu().numpy()
    views = code_columns(ranker.vocabulary.row).get(VIEWS)
    names = dict(enumerate(manifest["tag_names"], start=1))
    return [
        *history_slices(rows.lengths.astype(np.int64), config.history_edges),
        *(popularity_slices(rows.codes[:, views].astype(np.int64)[:, 0]) if views else ()),
        *novelty_slices("Item in training", item, seen, "seen in training", "never seen"),
        *tag_slices(item, tags_NT, names, config.top_tags),
        *_imputed_slices(item, manifest),
    ]


def _imputed_slices(item: Ints, manifest: dict[str, Any]) -> list[Slice]:
    """None if the manifest lists only the first of many items: with half a list, rows would be in the wrong slice."""
    listed = manifest["imputed"]
    if any(len(listed[modality]) < count for modality, count in manifest["imputed_counts"].items()):
        return []
    return content_slices(item, np.array(sorted(set().union(*listed.values())), dtype=np.int64))


def _load_candidate(path: Path, rows: RowStore, device: Any) -> Ranker:
    try:
        ranker = load(path, device)
    except CheckpointError as error:
        raise StepError(str(error)) from None
    if rows.max_item >= ranker.vocabulary.items:
        raise StepError(
            f"the rows name item {rows.max_item}, the candidate's table ends at {ranker.vocabulary.items - 1}: "
            "its embeddings were made from other items; run embed and train on this dataset"
        )
    return ranker


def _calibration(ranker: Ranker) -> dict[str, Any] | None:
    if ranker.calibration is None:
        return None
    return {"method": ranker.calibration.of.method, "negatives_kept": ranker.calibration.of.negatives_kept}


def _check(rows: RowStore, split: str) -> None:
    clicks = int(rows.label.sum()) if len(rows) else 0
    if min(clicks, len(rows) - clicks) < 2:
        raise StepError(
            f"{split} has {clicks} clicks among {len(rows)} rows: an AUC needs two of each; give it more labelled rows"
        )


def _oracle(dataset: Path, split: str) -> dict[str, Any] | None:
    """For generated data the probabilities of the clicks are known, and with them the best possible AUC on each whole
    split.
    """
    if split != "test" or not (dataset / "truth.json").is_file():
        return None
    return {"auc": read_json(dataset / "truth.json")["splits"][split]["auc"]["oracle"]}


def _write_predictions(path: Path, numbers: Ints, rows: RowStore, candidate: Floats, champion: Floats | None) -> None:
    theirs = pa.nulls(len(rows), pa.float64()) if champion is None else pa.array(champion)
    table = pa.table(
        {
            "row": numbers,
            USER: np.asarray(rows.user),
            ITEM: rows.item.astype(np.int64),
            LABEL: rows.label.astype(np.int8),
            "score": candidate,
            "champion_score": theirs,
        }
    )
    with atomic_path(path) as scratch:
        pq.write_table(table, scratch, compression="zstd")
