"""Several processes train as one does: in the losses, the weights, the dropout and what each goes on with."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from components.artifacts import Artifacts
from components.train import worker
from components.train.job import Job
from components.train.ranks import Ranks
from components.train.state import TrainState
from tests.forked_ranks import run_ranks
from tests.tiny_training import MODEL, recipe, write_inputs, written_job

NO_DROPOUT = replace(MODEL, transformer_dropout=0.0, deep_dropout=0.0)
Inputs = Artifacts


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


def curves_of(job: Job) -> dict[str, np.ndarray]:
    curves = json.loads((job.results / "curves.json").read_text())
    return {
        f"{part}/{name}": np.array([row[name] for row in curves[part]]) for part in curves for name in curves[part][0]
    }


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="bce"),
        pytest.param({"accumulate": 3}, id="accumulated"),
        pytest.param({"accumulate": 2, "embedding_l2": 1e-3}, id="accumulated-items-touched-by-both"),
        pytest.param({"pairwise_weight": 0.3}, id="pairs-across-ranks"),
        pytest.param({"embedding_l2": 1e-3}, id="items-touched-by-both"),
        pytest.param({"id_optimizer": "rowwise", "accumulate": 2, "embedding_l2": 1e-3}, id="row-wise-ids"),
    ],
)
def test_two_ranks_give_the_loss_curve_of_one(inputs: Inputs, tmp_path: Path, settings: dict[str, object]) -> None:
    curves = []
    for ranks in (1, 2):
        config = recipe(model=NO_DROPOUT, processes=ranks, **settings)
        job = written_job(inputs, config, tmp_path / f"{ranks}")
        assert run_ranks(job, ranks) == [0] * ranks
        curves.append(curves_of(job))
    assert curves[0].keys() == curves[1].keys()
    assert len(curves[0]["steps/train_loss"]) == 22
    for name, values in curves[0].items():
        np.testing.assert_allclose(curves[1][name], values, rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("weights", [(0.1, 0.2), (0.0, 0.2), (0.0, 0.0)], ids=["both", "one", "neither"])
def test_ranks_train_with_content_as_a_guide(inputs: Inputs, tmp_path: Path, weights: tuple[float, float]) -> None:
    model = replace(NO_DROPOUT, content=("concat", "align", "distil"))
    config = recipe(model=model, processes=2, align_weight=weights[0], distil_weight=weights[1], max_epochs=1)
    job = written_job(inputs, config, tmp_path)
    assert run_ranks(job, 2) == [0, 0]
    assert np.isfinite(curves_of(job)["steps/train_loss"]).all()


@pytest.mark.parametrize("id_optimizer", ["adam", "rowwise"])
@pytest.mark.parametrize("accumulate", [2, 4])
def test_accumulated_steps_are_those_of_the_whole_batch(
    inputs: Inputs, tmp_path: Path, accumulate: int, id_optimizer: str
) -> None:
    losses = []
    for parts in (1, accumulate):
        config = recipe(model=NO_DROPOUT, accumulate=parts, id_optimizer=id_optimizer)
        job = written_job(inputs, config, tmp_path / f"{parts}")
        run_ranks(job)
        losses.append(curves_of(job)["steps/train_loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=0, atol=1e-5)


def test_the_wrong_number_of_processes_is_refused(inputs: Inputs, tmp_path: Path) -> None:
    job = written_job(inputs, recipe(processes=3, launcher="torchrun"), tmp_path)
    assert run_ranks(job, 2) == [2, 2]
    assert "2 processes were started" in json.loads((job.folder / "failure.json").read_text())["message"]


class Second(Ranks):
    """The second of two ranks, as far as it can be had without another process."""

    others: Any = None

    def gather_objects(self, value: Any) -> list[Any]:
        return [self.others, value]


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A training's state on any rank. The optimiser of several ranks needs the others, and is left out."""
    monkeypatch.setattr(worker, "Optimiser", lambda *_: SimpleNamespace())

    def built(job: Job, rank: int) -> TrainState:
        return worker.build(job, Second(rank, 2, torch.device("cpu")))[0]

    return built


def test_ranks_start_from_the_same_weights_and_drop_different_features(shared_job: Job, build: Any) -> None:
    first, seed = build(shared_job, 0).ranker.state_dict(), torch.initial_seed()
    torch.rand(3)
    second = build(shared_job, 1).ranker.state_dict()
    assert torch.initial_seed() != seed
    assert all(torch.equal(second[name], weight) for name, weight in first.items())


def test_a_rank_goes_on_with_its_own_generator(shared_job: Job, build: Any) -> None:
    ranks = Second(1, 2, torch.device("cpu"))
    state = build(shared_job, 1)
    torch.manual_seed(5)
    object.__setattr__(ranks, "others", {"cpu": torch.get_rng_state()})
    torch.manual_seed(6)
    saved = state.to_dict(ranks)
    expected = torch.rand(4)
    state.restore(saved, ranks)
    torch.testing.assert_close(torch.rand(4), expected, rtol=0, atol=0)
