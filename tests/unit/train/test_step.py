import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from components.artifacts import Artifacts
from components.batches.item_table import load_item_table
from components.batches.rows import RowStore
from components.batches.scoring import score, score_as_sampled, score_logits
from components.dataset.splits import stopping_left_out
from components.errors import StepError
from components.statistics.auc import auc
from components.storage.sources import ROOT, code_key
from components.train import arithmetic, ranks, step, worker
from components.train import job as job_module
from components.train.job import Job, open_job, prepare_job
from components.train.state import Plateau
from components.train.step import train
from model import checkpoint
from tests.tiny_training import ITEMS, MODEL, TRAIN, recipe, write_inputs

Inputs = Artifacts
Reports = list[tuple[int, dict[str, float]]]


def test_training_learns_and_writes_its_files(inputs: Inputs, tmp_path: Path) -> None:
    reports: Reports = []
    config = recipe(max_epochs=12, patience=12, learning_rate=1e-2, learning_rate_decay=1.0)
    summary = train(inputs, config, tmp_path / "work", tmp_path / "out", lambda *report: reports.append(report))

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "curves.json",
        "model.safetensors",
        "summary.json",
    ]
    assert summary == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["valid_auc"] > 0.65
    assert summary["rows"] == {"train": 698, "valid": 203}  # two rows are quarantined
    curves = json.loads((tmp_path / "out" / "curves.json").read_text())
    assert [row["epoch"] for row in curves["epochs"]] == list(range(12))
    assert [row["step"] for row in curves["steps"]] == list(range(1, 12 * 11 + 1))
    assert curves["epochs"][-1]["train_loss"] < curves["epochs"][0]["train_loss"]
    epochs = [(at, values) for at, values in reports if "valid_auc" in values]
    assert [at for at, _ in epochs] == [11 * (epoch + 1) for epoch in range(12)]
    assert {"train_loss", "learning_rate", "samples_per_second"} == set(reports[0][1])
    best = max(curves["epochs"], key=lambda row: float(row["valid_auc"]))
    told = {key: summary[key] for key in ("preset", "best_epoch", "valid_auc", "epochs", "steps", "stopped_by", "seed")}
    assert told == {
        "preset": "tiny",
        "best_epoch": best["epoch"],
        "valid_auc": best["valid_auc"],
        "epochs": 12,
        "steps": 12 * 11,
        "stopped_by": "max_epochs",
        "seed": 1,
    }
    assert summary["samples_per_second"] == pytest.approx(698 * 12 / summary["seconds"], rel=0.02)
    assert (summary["ranks"], summary["device"], summary["torch"]) == (1, "cpu", torch.__version__)
    ranker = checkpoint.load(tmp_path / "out" / "model.safetensors", "cpu")
    assert summary["parameters"] == sum(parameter.numel() for parameter in ranker.parameters())


def test_the_published_ranker_is_calibrated_on_valid_and_says_how(inputs: Inputs, tmp_path: Path) -> None:
    summaries, loaded = {}, {}
    for method, kept in (("none", 1.0), ("platt", 1.0), ("platt", 0.1)):
        out = tmp_path / f"{method}-{kept}"
        config = recipe(calibration=method, negatives_kept=kept)
        summaries[method, kept] = train(inputs, config, tmp_path / "work", out)["calibration"]
        loaded[method, kept] = checkpoint.load(out / "model.safetensors")
    assert summaries["platt", 0.1]["method"] == "platt"
    assert set(summaries["none", 1.0]["log_loss"]) == {"none", "platt", "isotonic"}
    raw, platt, corrected = (loaded[of] for of in (("none", 1.0), ("platt", 1.0), ("platt", 0.1)))
    assert all(torch.equal(raw.state_dict()[name], value) for name, value in platt.state_dict().items())
    job = open_job(next(path.parent for path in (tmp_path / "work").rglob("job.json")))
    _, valid = job.rows()
    rate = valid.label.mean()
    assert score(platt, valid).mean() == pytest.approx(rate, abs=1e-3)  # what a fitted line makes equal
    assert score(platt, valid).mean() != pytest.approx(score(raw, valid).mean(), abs=1e-3)
    np.testing.assert_allclose(score_logits(corrected, valid), score_logits(platt, valid) + np.log(0.1), atol=1e-5)
    np.testing.assert_allclose(score_as_sampled(corrected, valid), score(platt, valid), atol=1e-6)


def test_the_saved_model_is_that_of_the_best_epoch(inputs: Inputs, tmp_path: Path) -> None:
    config = recipe(max_epochs=6, patience=6, learning_rate=5e-2)
    summary = train(inputs, config, tmp_path / "work", tmp_path / "out")
    epochs = json.loads((tmp_path / "out" / "curves.json").read_text())["epochs"]
    best = max(epochs, key=lambda row: row["valid_auc"])
    assert summary["best_epoch"] == best["epoch"]
    ranker = checkpoint.load(tmp_path / "out" / "model.safetensors", "cpu")
    rows = RowStore.build(inputs.dataset / "valid.parquet", tmp_path / "rows")
    assert auc(rows.label, score(ranker, rows)) == pytest.approx(best["valid_auc"], abs=1e-12)


def test_a_finished_training_is_returned_at_once(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(inputs, recipe(), tmp_path / "work", tmp_path / "first")
    monkeypatch.setattr(step, "LAUNCHERS", {})
    reports: Reports = []
    again = train(inputs, recipe(), tmp_path / "work", tmp_path / "again", lambda *report: reports.append(report))
    assert again == first
    assert [at for at, _ in reports] == [11, 22]
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (
        tmp_path / "first" / "model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param({"launcher": "torchrun", "checkpoint_steps": 5, "restarts": 0}, True, id="how-it-is-run"),
        pytest.param({"learning_rate": 1e-3}, False, id="how-it-learns"),
        pytest.param({"seed": 2}, False, id="seed"),
        pytest.param({"model": replace(MODEL, layers=2)}, False, id="what-learns"),
    ],
)
def test_the_key_follows_what_decides_the_weights(
    inputs: Inputs, tmp_path: Path, change: dict[str, Any], same: bool
) -> None:
    first = prepare_job(inputs, recipe(), tmp_path / "work")
    assert (prepare_job(inputs, recipe(**change), tmp_path / "work").key == first.key) is same


def test_the_key_follows_the_version_of_torch(inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = prepare_job(inputs, recipe(), tmp_path / "work").key
    monkeypatch.setattr(torch, "__version__", "99.0")
    assert prepare_job(inputs, recipe(), tmp_path / "work").key != before


@pytest.mark.parametrize("changed", ["train", "valid", "quarantine", "quarantine of valid", "embeddings", "levels"])
def test_the_key_follows_the_data(inputs: Inputs, tmp_path: Path, changed: str) -> None:
    dataset, validation, embeddings = inputs.dataset, inputs.validation, inputs.embeddings
    first = prepare_job(inputs, recipe(), tmp_path / "work")
    quarantines = {"quarantine": {"train": [3], "valid": []}, "quarantine of valid": {"train": [3, 5], "valid": [7]}}
    if changed in quarantines:
        (validation / "quarantine.json").write_text(json.dumps(quarantines[changed]))
    else:
        path = {
            "train": dataset / "train.parquet",
            "valid": dataset / "valid.parquet",
            "embeddings": embeddings / "item_info.parquet",
            "levels": dataset / "item_feature.parquet",
        }[changed]
        table = pq.read_table(path)
        if changed == "embeddings":
            vectors = np.stack(table.column("item_emb_d128").to_numpy())
            vectors[1:] += 1
            table = table.set_column(2, "item_emb_d128", pa.array(list(vectors)))
        else:
            table = table.set_column(
                table.schema.get_field_index("likes_level"), "likes_level", pa.array([9] * len(table))
            )
        pq.write_table(table, path)
    assert prepare_job(inputs, recipe(), tmp_path / "work").key != first.key


def test_without_labels_in_test_the_epoch_is_chosen_on_one_half_of_valid(inputs: Inputs, tmp_path: Path) -> None:
    whole = prepare_job(inputs, recipe(), tmp_path / "work")
    test = inputs.dataset / "test.parquet"
    pq.write_table(pq.read_table(test).drop_columns(["label"]), test)
    half = prepare_job(inputs, recipe(), tmp_path / "work")
    assert len(half.rows()[1]) == len(whole.rows()[1]) - len(stopping_left_out(inputs.dataset, {}))
    assert half.key != whole.key


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        pytest.param("model/losses.py", True, id="a-loss"),
        pytest.param("components/dataset/layout.py", True, id="imported-by-what-it-imports"),
        pytest.param("components/train/trainjob.py", False, id="how-it-is-launched"),
        pytest.param("components/report/words.py", False, id="another-room"),
    ],
)
def test_the_key_follows_the_code_that_trains(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, counts: bool
) -> None:
    before = prepare_job(inputs, recipe(), tmp_path / "work").key
    for package in ("model", "components"):
        shutil.copytree(ROOT / package, tmp_path / "code" / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(job_module, "code_key", lambda *modules: code_key.__wrapped__(*modules, root=tmp_path / "code"))
    assert prepare_job(inputs, recipe(), tmp_path / "work").key == before
    (tmp_path / "code" / changed).write_text("# mended\n")
    assert (prepare_job(inputs, recipe(), tmp_path / "work").key != before) is counts


def test_same_seed_same_weights_other_seed_other_weights(inputs: Inputs, tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(inputs, recipe(seed=seed), tmp_path / name, tmp_path / f"out-{name}")
        ranker = checkpoint.load(tmp_path / f"out-{name}" / "model.safetensors", "cpu")
        weights.append(ranker.item_encoder.id.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"precision": "bfloat16"}, id="bfloat16"),
        pytest.param({"id_optimizer": "rowwise", "embedding_l2": 1e-4, "weight_decay": 1e-3}, id="row-wise-ids"),
        pytest.param({"pairwise_weight": 0.2, "embedding_l2": 1e-4, "weight_decay": 1e-3}, id="more-losses"),
        pytest.param({"model": replace(MODEL, content=("concat", "align")), "align_weight": 0.1}, id="aligned"),
        pytest.param({"model": replace(MODEL, content=("distil",)), "distil_weight": 0.1}, id="distilled"),
        pytest.param({"model": replace(MODEL, interest="din")}, id="din"),
        pytest.param({"model": replace(MODEL, mask="inverted")}, id="inverted-mask"),
        pytest.param({"model": replace(MODEL, content=("codes",), codebook_size=8)}, id="codes"),
    ],
)
def test_every_kind_of_training_runs(inputs: Inputs, tmp_path: Path, change: dict[str, Any]) -> None:
    summary = train(inputs, recipe(**change), tmp_path / "work", tmp_path / "out")
    assert 0.3 < summary["valid_auc"] < 1.0


def test_the_summary_tells_what_semantic_codes_keep_of_the_content(inputs: Inputs, tmp_path: Path) -> None:
    config = recipe(model=replace(MODEL, content=("codes",), codebook_size=8, code_levels=2))
    codes = train(inputs, config, tmp_path / "work", tmp_path / "out")["codes"]
    assert 1 > codes["error"][0] > codes["error"][1] > 0
    assert len(codes["utilisation"]) == 2
    assert codes["fitted"] < ITEMS


def test_patience_ends_training(inputs: Inputs, tmp_path: Path) -> None:
    config = recipe(learning_rate=0.0, max_epochs=50, patience=3)
    summary = train(inputs, config, tmp_path / "work", tmp_path / "out")
    assert (summary["epochs"], summary["best_epoch"], summary["stopped_by"]) == (4, 0, "patience")


def test_the_rate_falls_after_each_epoch_without_gain(inputs: Inputs, tmp_path: Path) -> None:
    config = recipe(learning_rate=1e-5, max_epochs=4, patience=4, learning_rate_decay=0.1)
    train(inputs, config, tmp_path / "work", tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "curves.json").read_text())["epochs"]
    plateau, rate = Plateau(), 1e-5
    for row in rows:
        assert row["learning_rate"] == pytest.approx(rate)
        if not plateau.update(row["valid_auc"], row["epoch"]):
            rate = max(1e-6, rate * 0.1)


def test_the_plateau_counts_epochs_without_a_gain() -> None:
    plateau = Plateau()
    assert [plateau.update(auc, epoch) for epoch, auc in enumerate((0.6, 0.6, 0.7, 0.65, 0.69))] == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert (plateau.best, plateau.best_epoch, plateau.stale_epochs) == (0.7, 2, 2)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param({"learning_rate": 1e30, "gradient_clip": 0.0}, r"lower train\.learning_rate", id="diverged"),
        pytest.param({"processes": 2}, "use train.launcher=torchrun", id="inline-with-two"),
        pytest.param({"launcher": "torchrun", "nodes": 2}, "use train.launcher=trainjob", id="torchrun-on-two-nodes"),
        pytest.param({"batch_size": 10_000, "accumulate": 700}, "cannot be dealt", id="too-many-parts"),
    ],
)
def test_an_error_that_a_person_must_mend_is_one_line(
    inputs: Inputs, tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(StepError, match=message):
        train(inputs, recipe(**config), tmp_path / "work", tmp_path / "out")


def test_items_that_the_embeddings_lack_are_named(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path)
    embeddings = inputs.embeddings
    table = pq.read_table(embeddings / "item_info.parquet")
    pq.write_table(table.slice(0, ITEMS - 5), embeddings / "item_info.parquet")
    with pytest.raises(StepError, match=r"train\.parquet names item 49, the embeddings end at 44"):
        prepare_job(inputs, recipe(), tmp_path / "work")


def test_a_bucket_is_refused_as_the_work_folder(inputs: Inputs) -> None:
    with pytest.raises(StepError, match="so it must be a folder"):
        prepare_job(inputs, recipe(), Path("s3://bucket/work"))


def test_scores_come_in_row_order(inputs: Inputs, tmp_path: Path) -> None:
    train(inputs, recipe(), tmp_path / "work", tmp_path / "out")
    ranker = checkpoint.load(tmp_path / "out" / "model.safetensors", "cpu")
    rows = RowStore.build(inputs.dataset / "valid.parquet", tmp_path / "rows")
    whole = score(ranker, rows)
    np.testing.assert_allclose(score(ranker, rows, batch_size=17), whole, atol=1e-6)
    some = np.array([200, 3, 77])
    np.testing.assert_allclose(score(ranker, rows, which=some), whole[some], atol=1e-6)
    with torch.inference_mode():
        columns = [torch.from_numpy(c.astype(np.int64)) for c in (rows.item, rows.codes)]
        logits = ranker.eval()(torch.from_numpy(rows.history(12).astype(np.int64)), *columns, torch.zeros(len(rows), 0))
    np.testing.assert_allclose(whole, torch.sigmoid(logits).numpy(), atol=1e-6)


def test_the_item_table_joins_embeddings_and_levels(inputs: Inputs) -> None:
    table, vocabulary = load_item_table(inputs.embeddings / "item_info.parquet", inputs.dataset)
    features = pq.read_table(inputs.dataset / "item_feature.parquet")
    np.testing.assert_array_equal(table.codes_NX[1:, 5], features.column("likes_level").to_numpy())
    assert (vocabulary.items, vocabulary.content) == (ITEMS, 6)
    assert [feature.codes for feature in vocabulary.item] == [int(table.codes_NX[:, :5].max()) + 1, 11, 11]


def test_items_seen_in_train_are_marked(job: Job) -> None:
    rows, _ = job.rows()
    seen = job.items()["seen"]
    assert not seen[0]
    assert set(np.flatnonzero(seen)) == (set(rows.item) | set(rows.history(12).ravel())) - {0}


def test_a_job_can_be_opened_from_its_folder_alone(job: Job) -> None:
    assert open_job(job.folder) == job


def test_the_worker_command_trains_a_job(job: Job) -> None:
    assert worker.main(["--job", str(job.folder)]) == 0
    assert job.finished
    lines = [json.loads(line) for line in job.metrics.read_text().splitlines()]
    assert [line["step"] for line in lines if "valid_auc" in line["metrics"]] == [11, 22]


@pytest.mark.parametrize("limit", [0.0, 0.5, 100.0])
def test_clipping_limits_the_norm(limit: float) -> None:
    parameters = [torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(2))]
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 2.0)
    arithmetic.clip_gradients(parameters, limit)
    norm = torch.cat([parameter.grad for parameter in parameters if parameter.grad is not None]).norm()
    assert norm.item() == pytest.approx(limit if limit == 0.5 else 20**0.5, rel=1e-5)


def test_without_weight_decay_the_optimizer_is_adam() -> None:
    ours, adams = (torch.nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    optimizers = [arithmetic.adam([ours], TRAIN), torch.optim.Adam([adams], lr=TRAIN.learning_rate)]
    for gradient in ([0.1, -3.0], [2.0, 1e-5]):
        for parameter, optimizer in zip((ours, adams), optimizers, strict=True):
            parameter.grad = torch.tensor(gradient)
            optimizer.step()
    torch.testing.assert_close(ours, adams, rtol=1e-6, atol=0)


def test_processes_wait_for_a_lost_one_as_long_as_the_recipe_says(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[object] = []

    def recorded(device: str, silence: timedelta) -> Any:
        waits.append(silence)
        return ranks.joined(device, silence)

    monkeypatch.setattr(worker, "joined", recorded)
    train(inputs, recipe(max_epochs=1, silence_minutes=7.0), tmp_path / "work", tmp_path / "out")
    assert waits == [timedelta(minutes=7)]
