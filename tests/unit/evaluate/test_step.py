import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.dataset.layout import ITEM, LABEL, split_path
from components.dataset.splits import measuring_left_out
from components.errors import StepError
from components.evaluate.step import evaluate
from components.statistics.auc import auc
from components.storage.files import read_json, write_json
from model.calibration import LogitMap
from model.checkpoint import load, save

from .conftest import MANIFEST, Folders, make_champion, ranker


def run(folders: Folders, out: Path, dataset: Path | None = None) -> Any:
    made = replace(folders.made, dataset=dataset or folders.dataset)
    return evaluate(made, folders.config, "auto", out)


def without_labels(sample: Path, to: Path) -> Any:
    shutil.copytree(sample, to)
    path = split_path(to, "test")
    pq.write_table(pq.read_table(path).drop_columns([LABEL]), path)
    return to


def test_metrics_and_predictions_tell_the_same(folders: Folders, sample: Path, tmp_path: Path) -> None:
    make_champion(folders, ranker(sample, seed=2))
    metrics = run(folders, tmp_path / "out")
    assert metrics == read_json(tmp_path / "out" / "metrics.json")
    predictions = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pydict()
    assert list(predictions) == ["row", "user_id", "item_id", "label", "score", "champion_score"]
    test = pq.read_table(split_path(sample, "test")).to_pydict()
    assert predictions["row"] == list(range(len(test[LABEL])))
    assert predictions["label"] == test[LABEL]
    assert predictions["item_id"] == test[ITEM]
    for column, card in (("score", metrics["candidate"]), ("champion_score", metrics["champion"]["scores"])):
        assert card["auc"]["value"] == pytest.approx(auc(test[LABEL], predictions[column]), abs=1e-9)
    assert metrics["rows"] == len(test[LABEL])
    assert metrics["split"] == "test"
    assert metrics["oracle"]["auc"] == read_json(sample / "truth.json")["splits"]["test"]["auc"]["oracle"]
    assert metrics["oracle"]["auc"] > metrics["candidate"]["auc"]["value"]  # nothing was trained here


def test_rates_are_measured_as_the_rows_were_sampled(folders: Folders, sample: Path, tmp_path: Path) -> None:
    """The rows of test keep the same share of non-clicks as those of train, so the correction for it is undone."""
    plain = run(folders, tmp_path / "plain")
    assert plain["calibration"] is None, "a ranker of an earlier version"
    candidate = ranker(sample, seed=1)
    candidate.calibrate(LogitMap("platt", ((0.0, float(np.log(0.2))),), 1.0, negatives_kept=0.2))
    save(folders.training / "model.safetensors", candidate)
    corrected = run(folders, tmp_path / "corrected")
    assert corrected["calibration"] == {"method": "platt", "negatives_kept": 0.2}
    for name in ("calibration_error", "log_loss", "mean_score"):
        assert corrected["candidate"][name] == pytest.approx(plain["candidate"][name], abs=1e-6), name


def test_the_candidate_is_diagnosed_on_the_rows_that_chose_its_epoch(
    folders: Folders, sample: Path, tmp_path: Path
) -> None:
    diagnosis = run(folders, tmp_path / "out")["diagnosis"]
    assert diagnosis["rows"] == pq.read_metadata(split_path(sample, "valid")).num_rows == 400
    assert len(diagnosis["findings"]) == 7
    assert "kept epoch 1 of 2, with AUC 0.6100" in diagnosis["findings"][0]["sentence"]
    assert set(diagnosis["figures"]["without"]) == {
        *("content", "item_tags", "likes_level of the row", "views_level of the row"),
    }
    assert [layer["name"] for layer in diagnosis["figures"]["attention"]["layers"]] == ["layer 1"]
    (tmp_path / "data").mkdir()
    halves = run(folders, tmp_path / "half", without_labels(sample, tmp_path / "data" / "unlabelled"))
    assert halves["diagnosis"]["rows"] + halves["rows"] == 400
    assert "half of valid that is measured" in halves["diagnosis"]["findings"][0]["title"]


def test_baselines_learn_from_train_alone(folders: Folders, tmp_path: Path) -> None:
    metrics = run(folders, tmp_path / "out")
    assert set(metrics["baselines"]) == {"item_click_rate", "history_blind"}
    assert all(0.45 < b["auc"]["value"] < 0.8 for b in metrics["baselines"].values())


def test_every_kind_of_slice_is_there(folders: Folders, tmp_path: Path) -> None:
    slices = run(folders, tmp_path / "out")["slices"]
    groups = {part["group"] for part in slices}
    assert groups == {
        "Length of history",
        "Popularity of the item",
        "Item in training",
        "Tag of the item",
        "Content of the item",
    }
    rows = {group: sum(part["rows"] for part in slices if part["group"] == group) for group in groups}
    assert {rows[group] for group in groups - {"Tag of the item"}} == {600}
    assert all(part["rows"] > 0 for part in slices)
    new = next(part for part in slices if part["name"] == "never seen")
    test = pq.read_table(split_path(folders.dataset, "test")).column(ITEM).to_numpy()
    assert new["rows"] == (test >= 60).sum()  # the candidate's own table says what train held


def test_imputed_items_are_those_of_any_modality(folders: Folders, tmp_path: Path) -> None:
    slices = {part["name"]: part["rows"] for part in run(folders, tmp_path / "out")["slices"]}
    items = pq.read_table(split_path(folders.dataset, "test")).column(ITEM).to_numpy()
    assert slices["imputed"] == np.isin(items, [3, 4]).sum() > 0


def test_an_incomplete_list_of_imputed_items_makes_no_slice(folders: Folders, tmp_path: Path) -> None:
    write_json(folders.embeddings / "manifest.json", MANIFEST | {"imputed_counts": {"text": 1, "image": 12_000}})
    groups = {part["group"] for part in run(folders, tmp_path / "out")["slices"]}
    assert "Content of the item" not in groups
    assert "Tag of the item" in groups


def test_tags_are_called_by_their_names(folders: Folders, tmp_path: Path) -> None:
    names = [f"name of {tag}" for tag in range(1, 200)]
    write_json(folders.embeddings / "manifest.json", MANIFEST | {"tag_names": names})
    tags = [part["name"] for part in run(folders, tmp_path / "out")["slices"] if part["group"] == "Tag of the item"]
    assert tags
    assert set(tags) <= set(names)


def test_without_labels_in_test_one_half_of_valid_is_measured_and_said_so(
    folders: Folders, sample: Path, tmp_path: Path
) -> None:
    data = without_labels(sample, tmp_path / "data")
    write_json(folders.validation / "quarantine.json", {"train": [], "valid": [2, 3], "test": []})
    metrics = run(folders, tmp_path / "out", data)
    assert metrics["split"] == "valid"
    assert metrics["split_note"].startswith("One half of the users of the valid split, because test has no labels.")
    assert metrics["left_out_rows"] == 2
    rows = pq.read_metadata(split_path(sample, "valid")).num_rows
    left_out = measuring_left_out(data, {"valid": [2, 3]})
    measured = pq.read_table(tmp_path / "out" / "predictions.parquet").column("row").to_pylist()
    assert measured == sorted(set(range(rows)) - set(left_out))
    assert metrics["rows"] == len(measured)


def test_quarantined_rows_are_left_out_and_counted(folders: Folders, sample: Path, tmp_path: Path) -> None:
    write_json(folders.validation / "quarantine.json", {"train": [0], "valid": [], "test": [0, 7, 599]})
    metrics = run(folders, tmp_path / "out")
    assert (metrics["rows"], metrics["left_out_rows"]) == (597, 3)
    predictions = pq.read_table(tmp_path / "out" / "predictions.parquet")
    kept = np.setdiff1d(np.arange(600), [0, 7, 599])
    np.testing.assert_array_equal(predictions.column("row").to_numpy(), kept)
    items = pq.read_table(split_path(sample, "test")).column(ITEM).to_numpy()
    np.testing.assert_array_equal(predictions.column("item_id").to_numpy(), items[kept])


def test_the_candidate_against_itself_differs_by_nothing(folders: Folders, tmp_path: Path) -> None:
    make_champion(folders, load(folders.training / "model.safetensors"))
    metrics = run(folders, tmp_path / "out")
    for unit in ("rows", "users"):
        assert metrics["comparison"][unit]["value"] == 0
        assert metrics["comparison"][unit]["p_better"] == 1.0
    assert {part["difference"]["value"] for part in metrics["slices"] if part["measured"]} == {0.0}


def test_without_a_champion_its_column_is_empty(folders: Folders, tmp_path: Path) -> None:
    metrics = run(folders, tmp_path / "out")
    assert metrics["champion"]["status"] == "none"
    assert metrics["comparison"] is None
    assert pq.read_table(tmp_path / "out" / "predictions.parquet").column("champion_score").null_count == 600


def test_an_unreadable_champion_does_not_stop_the_step(folders: Folders, tmp_path: Path) -> None:
    write_json(folders.champion / "champion.json", {"version": "7"})
    metrics = run(folders, tmp_path / "out")
    assert metrics["champion"]["status"] == "unreadable"
    assert "is missing" in metrics["champion"]["reason"]
    assert metrics["candidate"]["auc"]["value"] > 0


def test_a_candidate_of_another_catalogue_is_refused(folders: Folders, sample: Path, tmp_path: Path) -> None:
    save(folders.training / "model.safetensors", ranker(sample, seed=1, items=50))
    with pytest.raises(StepError, match="table ends at 49: its embeddings were made from other items"):
        run(folders, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("clicks", "others", "said"),
    [
        (0, 450, "test has 0 clicks among 450 rows: an AUC needs two of each"),
        (1, 450, "test has 1 clicks among 451 rows"),
        (2, 1, "test has 2 clicks among 3 rows"),
        (0, 0, "test has 0 clicks among 0 rows"),
    ],
)
def test_a_split_with_fewer_than_two_of_each_is_refused(
    folders: Folders, sample: Path, tmp_path: Path, clicks: int, others: int, said: str
) -> None:
    shutil.copytree(sample, tmp_path / "data")
    path = split_path(tmp_path / "data", "test")
    table = pq.read_table(path)
    labels = np.asarray(table.column(LABEL))
    kept = np.concatenate([np.flatnonzero(labels == 1)[:clicks], np.flatnonzero(labels == 0)[:others]])
    pq.write_table(table.take(kept), path)
    with pytest.raises(StepError, match=said):
        run(folders, tmp_path / "out", tmp_path / "data")


def test_a_missing_candidate_is_refused(folders: Folders, tmp_path: Path) -> None:
    (folders.training / "model.safetensors").unlink()
    with pytest.raises(StepError, match="is missing"):
        run(folders, tmp_path / "out")
