"""A start from the champion: when it is one, what it takes over, and from which rows it learns."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from components.artifacts import Artifacts
from components.batches.rows import RowStore
from components.batches.scoring import score
from components.errors import StepError
from components.schema.challenge import CHALLENGE
from components.schema.encoder import FittedFeature
from components.schema.fitted import FEATURES
from components.statistics.auc import auc
from components.storage.files import write_json
from components.train import worker
from components.train.config import Recipe
from components.train.inherit import inherit, rows_to_learn
from components.train.job import prepare_job, weights_of
from components.train.ranks import Ranks
from components.train.start import same_meaning
from components.train.step import train
from model import checkpoint
from model.checkpoint import read_header
from tests.tiny_training import ITEMS, MODEL, TRAIN, recipe, written_job
from tests.two_nights import (
    FIRST_NIGHT,
    NEW_ITEMS,
    NEW_ROWS,
    OLD_ROWS,
    SECOND_NIGHT,
    Nights,
    as_champion,
    change,
    two_nights,
)

WARM = recipe(start="champion")
ONE = Ranks(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    return two_nights(tmp_path_factory.mktemp("nights"))


@pytest.fixture(scope="module")
def warm(nights: Nights, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("warm")
    return folder / "out", train(nights.second, WARM, folder / "work", folder / "out")


def test_it_learns_from_the_new_rows_and_as_many_old_ones_and_says_so(warm: tuple[Path, dict[str, Any]]) -> None:
    out, summary = warm
    assert summary == json.loads((out / "summary.json").read_text())
    assert summary["start"] == {
        "from": "champion",
        "parent": "3",
        "chain": 1,
        "why": "train.start is champion, which is version 3",
    }
    left_out = OLD_ROWS - 2 - NEW_ROWS  # two rows are quarantined
    assert summary["rows"] == {
        "train": 2 * NEW_ROWS,
        "new": NEW_ROWS,
        "replayed": NEW_ROWS,
        "left_out": left_out,
        "valid": 203,
    }
    assert read_header(out / "model.safetensors").meta["newest_time"] == str(SECOND_NIGHT)
    assert read_header(out / "model.safetensors").meta["chain"] == "1"


def test_it_starts_at_the_champions_weights_and_new_rows_of_tables_start_by_chance(
    nights: Nights, tmp_path: Path
) -> None:
    states = {}
    for start in ("scratch", "champion"):
        job = written_job(nights.second, recipe(start=start), tmp_path / start)
        states[start] = weights_of(worker.build(job, ONE)[0].ranker)
    champion = weights_of(checkpoint.load(nights.second.champion / "package" / "ranker.safetensors"))
    grown = {name for name, value in champion.items() if states["champion"][name].shape != value.shape}
    assert grown == {"item_encoder.id.weight", "item_encoder.features.0.weight"}
    for name, before in champion.items():
        value, random = states["champion"][name], states["scratch"][name]
        assert torch.equal(value[: len(before)], before), name
        assert torch.equal(value[len(before) :], random[len(before) :]), name
    assert len(states["champion"]["item_encoder.id.weight"]) == ITEMS + NEW_ITEMS


def test_a_ranker_with_fewer_rows_takes_over_those_that_it_has(nights: Nights, tmp_path: Path) -> None:
    """Items may leave the catalogue."""
    large, small = (
        worker.build(written_job(made, recipe(), tmp_path / name), ONE)[0].ranker
        for name, made in (("second", nights.second), ("first", nights.first))
    )
    inherit(small, large)
    for name, value in weights_of(small).items():
        assert torch.equal(value, weights_of(large)[name][: len(value)]), name


def test_a_start_that_makes_the_champion_worse_keeps_the_champions_weights(nights: Nights, tmp_path: Path) -> None:
    """Its AUC on valid is the first to beat."""
    wild = recipe(start="champion", learning_rate=10.0)
    summary = train(nights.second, wild, tmp_path / "work", tmp_path / "out")
    curves = json.loads((tmp_path / "out" / "curves.json").read_text())
    assert (summary["best_epoch"], summary["epochs"]) == (-1, 2)
    assert summary["valid_auc"] == curves["champion"][0]["valid_auc"] > curves["epochs"][0]["valid_auc"]
    before = checkpoint.load(nights.second.champion / "package" / "ranker.safetensors")
    kept = checkpoint.load(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(weights_of(kept)[name][: len(value)], value) for name, value in weights_of(before).items())
    valid = RowStore.build(nights.second.dataset / "valid.parquet", tmp_path / "rows")
    assert auc(valid.label, score(kept, valid)) == pytest.approx(summary["valid_auc"], abs=1e-12)


def test_a_chain_goes_on_and_ends_in_a_start_from_scratch(
    nights: Nights, warm: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    grandchild = replace(nights.second, champion=as_champion(warm[0], tmp_path / "champion", "4"))
    job = prepare_job(grandchild, recipe(start="champion", max_chain=2), tmp_path / "work")
    assert (job.start.chain, job.start.parent, job.start.newest_time) == (2, "4", SECOND_NIGHT)
    job = prepare_job(grandchild, recipe(start="champion", max_chain=1), tmp_path / "work")
    assert job.start.told() == {
        "from": "scratch",
        "parent": None,
        "chain": 0,
        "why": "it could not start from champion 4: 1 starts from a champion in a row led to it, and train.max_chain = "
        "1",
    }


def test_a_start_from_scratch_is_the_same_training_whatever_was_asked_for(nights: Nights, tmp_path: Path) -> None:
    write_json(tmp_path / "none" / "champion.json", {"version": None})
    alone = replace(nights.second, champion=tmp_path / "none")
    asked, cold = (prepare_job(alone, of, tmp_path / "work") for of in (WARM, recipe(replay_share=0.2)))
    assert asked.start.told() == {"from": "scratch", "parent": None, "chain": 0, "why": "there is no champion yet"}
    assert asked.folder == cold.folder
    assert cold.start.why == "train.start is scratch"
    warm = prepare_job(nights.second, WARM, tmp_path / "work")
    assert warm.folder != cold.folder
    assert (
        prepare_job(nights.second, recipe(start="champion", replay_share=0.2), tmp_path / "work").folder != warm.folder
    )


def test_another_champion_is_another_training(nights: Nights, warm: tuple[Path, Any], tmp_path: Path) -> None:
    other = replace(nights.second, champion=as_champion(warm[0], tmp_path / "champion"))
    keys = {prepare_job(made, WARM, tmp_path / "work").key for made in (nights.second, other)}
    assert len(keys) == 2


def _other_content(made: Artifacts) -> None:
    path = made.embeddings / "item_info.parquet"
    content = np.random.default_rng(1).normal(size=(ITEMS + NEW_ITEMS, 6)).astype(np.float32)
    content[0] = 0
    change(path, item_emb_d128=list(content))


def _other_tags(made: Artifacts) -> None:
    tags = np.random.default_rng(1).integers(1, 12, (ITEMS + NEW_ITEMS, 5))
    tags[0] = 0
    change(made.embeddings / "item_info.parquet", item_tags=list(tags))


def _damaged(made: Artifacts) -> None:
    path = made.champion / "package" / "ranker.safetensors"
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("spoil", "model", "why"),
    [
        pytest.param(None, replace(MODEL, layers=2), r"model.layers is 2, the champion's is 1", id="another-ranker"),
        pytest.param(None, replace(MODEL, content=("codes",)), "model.content is", id="another-content"),
        pytest.param(_other_content, MODEL, r"\d+% of .* have other content .*projection=reuse-champion", id="content"),
        pytest.param(_other_tags, MODEL, r"\d+% of the items that both know have other tags than then", id="tags"),
        pytest.param(_damaged, MODEL, r"ranker.safetensors is truncated", id="damaged"),
    ],
)
def test_what_the_weights_would_misunderstand_is_a_reason_to_start_from_scratch(
    nights: Nights, tmp_path: Path, spoil: Callable[[Artifacts], None] | None, model: Any, why: str
) -> None:
    made = replace(
        nights.second,
        embeddings=Path(shutil.copytree(nights.second.embeddings, tmp_path / "embeddings")),
        champion=Path(shutil.copytree(nights.second.champion, tmp_path / "champion")),
    )
    if spoil is not None:
        spoil(made)
    start = prepare_job(made, Recipe("tiny", model, replace(TRAIN, start="champion")), tmp_path / "work").start
    assert (start.champion, start.parent, start.chain) == (None, None, 0)
    assert start.why.startswith("it could not start from champion 3: ")
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(start.why)


@pytest.mark.parametrize(("refused", "limit", "warm"), [(1, 1, False), (1, 2, True), (9, 0, True)])
def test_the_gate_asks_for_a_start_from_scratch(
    nights: Nights, tmp_path: Path, refused: int, limit: int, warm: bool
) -> None:
    made = replace(nights.second, champion=Path(shutil.copytree(nights.second.champion, tmp_path / "champion")))
    write_json(made.champion / "champion.json", {"version": "3", "refused_starts": refused})
    start = prepare_job(made, recipe(start="champion", cold_after_refusals=limit), tmp_path / "work").start
    assert (start.parent == "3") is warm
    assert warm or start.why.endswith("that the gate refused: 1, train.cold_after_refusals = 1")


@pytest.mark.parametrize(("psi", "warm"), [(0.21, False), (0.2, True), (None, True)])
def test_a_drift_is_a_reason_to_start_from_scratch(
    nights: Nights, tmp_path: Path, psi: float | None, warm: bool
) -> None:
    rules = [("likes-drift", 0.1), ("tags-drift", psi), ("unseen-items-drift", 0.9)]
    made = replace(nights.second, validation=Path(shutil.copytree(nights.second.validation, tmp_path / "validation")))
    write_json(made.validation / "verdict.json", {"rules": [{"name": name, "observed": of} for name, of in rules]})
    start = prepare_job(made, recipe(start="champion", cold_above_drift=0.2), tmp_path / "work").start
    assert (start.parent == "3") is warm
    if not warm:
        assert start.why.endswith("champion 3: tags-drift is a PSI of 0.210, above train.cold_above_drift = 0.2")


def test_a_few_changed_items_are_no_reason(nights: Nights, tmp_path: Path) -> None:
    made = replace(nights.second, embeddings=Path(shutil.copytree(nights.second.embeddings, tmp_path / "embeddings")))
    rng = np.random.default_rng(1)
    content = rng.normal(size=(ITEMS + NEW_ITEMS, 6)).astype(np.float32)
    before = checkpoint.load(nights.second.champion / "package" / "ranker.safetensors").table.content_NC.numpy()
    content[0], content[20:ITEMS] = 0, before[20:]  # 19 of 49 have been described anew
    change(made.embeddings / "item_info.parquet", item_emb_d128=list(content))
    assert prepare_job(made, WARM, tmp_path / "work").start.parent == "3"


COLOURS = FittedFeature("colour", "category", values=("red", "green"))
PRICE = FittedFeature("price", "number", encoding="buckets", edges=(1.0, 2.0))


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        pytest.param(COLOURS, replace(COLOURS, values=("red", "green", "blue")), True, id="grown"),
        pytest.param(COLOURS, replace(COLOURS, values=("green", "red")), False, id="other-codes"),
        pytest.param(COLOURS, replace(COLOURS, values=("red",)), False, id="shrunk"),
        pytest.param(COLOURS, replace(COLOURS, buckets=2), False, id="other-buckets"),
        pytest.param(COLOURS, replace(PRICE, name="colour"), False, id="other-kind"),
        pytest.param(PRICE, replace(PRICE, edges=(1.1, 2.2)), True, id="edges-moved"),
        pytest.param(PRICE, replace(PRICE, edges=(1.0, 2.0, 3.0)), False, id="more-edges"),
    ],
)
def test_a_vocabulary_may_grow_at_its_end_alone(before: FittedFeature, now: FittedFeature, same: bool) -> None:
    assert same_meaning(before, now) == same


def test_features_that_came_or_changed_are_a_reason_to_start_from_scratch(nights: Nights, tmp_path: Path) -> None:
    """The champion of `nights` knows the challenge's features alone."""
    made = replace(
        nights.second,
        dataset=Path(shutil.copytree(nights.second.dataset, tmp_path / "dataset")),
        validation=Path(shutil.copytree(nights.second.validation, tmp_path / "validation")),
    )
    for split in ("train", "valid"):
        path = made.dataset / f"{split}.parquet"
        change(path, colour=["red"] * pq.read_metadata(path).num_rows)
    write_json(made.validation / FEATURES, replace(CHALLENGE, row=(*CHALLENGE.row, COLOURS)).to_json())
    why = "the row feature 'colour' is declared or coded in another way than the champion's"
    assert prepare_job(made, WARM, tmp_path / "work").start.why == f"it could not start from champion 3: {why}"


def test_data_without_times_are_learned_from_whole(nights: Nights, tmp_path: Path) -> None:
    made = replace(nights.second, dataset=Path(shutil.copytree(nights.second.dataset, tmp_path / "dataset")))
    table = made.dataset / "train.parquet"
    pq.write_table(pq.read_table(table).drop_columns(["time"]), table)
    summary = train(made, recipe(start="champion", max_epochs=1), tmp_path / "work", tmp_path / "out")
    assert summary["rows"] == {"train": OLD_ROWS - 2 + NEW_ROWS, "valid": 203}
    assert "newest_time" not in read_header(tmp_path / "out" / "model.safetensors").meta


def test_what_rows_a_start_from_the_champion_learns_from() -> None:
    time = np.array([5, 1, 9, 3, 7, 2, 8, 4, 6, 0])
    chosen = rows_to_learn(time, 6, 0.5, seed=1)
    assert chosen is not None
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert {2, 4, 6} < set(chosen.tolist())  # times 7, 8 and 9
    assert len(chosen) == 6
    assert rows_to_learn(time, 6, 0.5, seed=1).tolist() == chosen.tolist()  # type: ignore[union-attr]
    assert rows_to_learn(time, 6, 0.0, seed=1).tolist() == [2, 4, 6]  # type: ignore[union-attr]
    assert rows_to_learn(time, 6, 0.9, seed=1).tolist() == list(range(10))  # type: ignore[union-attr]
    assert rows_to_learn(time, 9, 0.5, seed=1) is None  # nothing is new
    assert rows_to_learn(None, 6, 0.5, seed=1) is None
    assert rows_to_learn(time, None, 0.5, seed=1) is None
    draws = {tuple(rows_to_learn(time, 6, 0.5, seed).tolist()) for seed in range(20)}  # type: ignore[union-attr]
    assert len(draws) > 5
    assert set().union(*draws) == set(range(10))


def test_the_rows_of_an_epoch_are_the_chosen_ones(nights: Nights, tmp_path: Path) -> None:
    job = written_job(nights.second, WARM, tmp_path)
    rows, _ = job.rows()
    data = worker.data_of(job, ONE, rows, worker.build(job, ONE)[0].ranker)
    sampler = data.sampler
    seen = np.concatenate([part for step in range(sampler.steps) for part in sampler.share(sampler.order(0), step)])
    assert len(seen) == len(set(seen.tolist())) == 2 * NEW_ROWS
    assert rows.time is not None
    assert (rows.time[seen] > FIRST_NIGHT).sum() == NEW_ROWS


def test_a_pull_draws_the_weights_back_by_its_strength_times_the_learning_rate(nights: Nights, tmp_path: Path) -> None:
    """One step with the pull ends between the champion and where the step alone would have ended."""
    ended = {}
    for pull in (0.0, 40.0):
        job = written_job(nights.second, recipe(start="champion", pull_to_champion=pull), tmp_path / str(pull))
        state, optimiser = worker.build(job, ONE)
        began = {name: value.detach().clone().numpy() for name, value in state.ranker.named_parameters()}
        data = worker.data_of(job, ONE, job.rows()[0], state.ranker)
        torch.manual_seed(1)
        optimiser.step(*next(data.batches(0, 0)))
        ended[pull] = {name: value.detach().numpy() for name, value in state.ranker.named_parameters()}
    share = TRAIN.learning_rate * 40.0
    for name, start in began.items():
        expected = (1 - share) * ended[0.0][name] + share * start
        np.testing.assert_allclose(ended[40.0][name], expected, atol=1e-6, err_msg=name)
    assert any(not np.array_equal(ended[0.0][name], ended[40.0][name]) for name in began)


def test_a_champion_that_was_removed_from_the_workspace_is_one_line(nights: Nights, tmp_path: Path) -> None:
    job = written_job(nights.second, WARM, tmp_path)
    shutil.rmtree(tmp_path / "champions")
    with pytest.raises(StepError, match="run the command again; it copies the champion anew"):
        job.champion()
