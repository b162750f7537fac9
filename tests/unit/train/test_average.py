"""The moving average of the weights against its formula, and where the training uses it."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from components.artifacts import Artifacts
from components.storage.files import read_json
from components.train import worker
from components.train.average import Average
from components.train.job import Job
from components.train.ranks import Ranks
from components.train.state import TrainState
from components.train.watch import TrainingWatch
from model.ranker import Ranker
from tests.tiny_training import recipe, written_job

ONE = Ranks(0, 1, torch.device("cpu"))


def last_layer(ranker: Ranker) -> nn.Linear:
    layer = ranker.head[-1]
    assert isinstance(layer, nn.Linear)
    return layer


@pytest.fixture
def ranker(job: Job) -> Ranker:
    return worker.build(job, ONE)[0].ranker


def test_each_step_weighs_decay_times_as_much_as_the_next(ranker: Ranker) -> None:
    average = Average(ranker, 0.5)
    rng = np.random.default_rng(1)
    weight = last_layer(ranker).bias
    expected = float(weight.detach())
    for step, value in enumerate(rng.normal(size=30), 1):
        with torch.no_grad():
            weight.fill_(value)
        average.update()
        decay = min(0.5, step / (step + 9))  # the first steps are forgotten faster
        expected = decay * expected + (1 - decay) * value
        with average.in_place():
            assert float(weight.detach()) == pytest.approx(expected, rel=1e-5), step
        assert float(weight.detach()) == pytest.approx(value, rel=1e-5)


def test_an_average_goes_on_from_what_was_saved(ranker: Ranker) -> None:
    whole = Average(ranker, 0.9)
    weight = last_layer(ranker).bias
    saved: dict[str, Any] = {}
    for step in range(6):
        with torch.no_grad():
            weight.fill_(float(step))
        if step == 3:
            saved = copy.deepcopy(whole.to_dict())
            broken = Average(ranker, 0.9)
            broken.restore(saved)
        if step >= 3:
            broken.update()
        whole.update()
    for mean, expected in zip(broken.means, whole.means, strict=True):
        torch.testing.assert_close(mean, expected, rtol=0, atol=0)


def fail_inside(average: Average, holds: Callable[[], bool]) -> None:
    with average.in_place():
        assert holds()
        raise ZeroDivisionError


def test_the_ranker_gets_its_own_weights_back_when_scoring_fails(ranker: Ranker) -> None:
    average, before = Average(ranker, 0.9), last_layer(ranker).weight.detach().clone()
    with torch.no_grad():
        last_layer(ranker).weight.add_(1.0)
    with pytest.raises(ZeroDivisionError):
        fail_inside(average, lambda: torch.equal(last_layer(ranker).weight, before))
    assert torch.equal(last_layer(ranker).weight, before + 1.0)


def test_validation_scores_the_average_and_the_best_epoch_keeps_it(
    inputs: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the training itself takes the same steps as one without an average."""
    own: dict[float, list[torch.Tensor]] = {}
    means: list[torch.Tensor] = []
    ended = TrainingWatch.epoch_ended

    def recorded(self: TrainingWatch, state: TrainState, better: bool) -> None:
        decay = self.job.recipe.train.average_decay
        own.setdefault(decay, []).append(last_layer(state.ranker).weight.detach().clone())
        if better and state.average is not None:
            with state.average.in_place():
                means.append(last_layer(state.ranker).weight.detach().clone())
        ended(self, state, better)

    monkeypatch.setattr(TrainingWatch, "epoch_ended", recorded)
    aucs, kept = {}, {}
    for decay in (0.0, 0.9):
        job = written_job(inputs, recipe(average_decay=decay, max_epochs=1), tmp_path / str(decay))
        worker.run(job, lambda *_: None)
        aucs[decay] = read_json(job.results / "curves.json")["epochs"][0]["valid_auc"]
        (name,) = [name for name in load_file(job.results / "model.safetensors") if name.endswith("head.1.weight")]
        kept[decay] = load_file(job.results / "model.safetensors")[name]
    assert torch.equal(own[0.0][0], own[0.9][0])
    assert torch.equal(kept[0.0], own[0.0][0])
    assert torch.equal(kept[0.9], means[0])
    assert not torch.equal(kept[0.9], kept[0.0])
    assert aucs[0.9] != aucs[0.0]
