from dataclasses import replace

import numpy as np
import pytest
import torch

from components.batches.item_table import table_from, vocabulary_of
from components.batches.loader import Collator
from components.batches.scoring import score
from components.train import objective
from components.train.config import TrainConfig
from components.train.job import Job
from components.train.objective import Objective, Optimiser
from components.train.ranks import Ranks
from model import losses
from model.config import ContentUse
from model.ranker import Ranker
from tests.tiny_training import MODEL, TRAIN

ONE = Ranks(0, 1, torch.device("cpu"))


@pytest.fixture
def job(shared_job: Job) -> Job:
    return shared_job


def regularised(
    job: Job, uses: tuple[ContentUse, ...], **weights: float
) -> tuple[float, dict[str, torch.Tensor], torch.Tensor]:
    """(regularisation, auxiliary losses, touched L2) of one batch under the given weights."""
    torch.manual_seed(0)
    ranker = Ranker(replace(MODEL, content=uses), vocabulary_of(job.items()), table_from(job.items())).eval()
    batch = Collator(job.rows()[0], MODEL.history_length, ranker.vocabulary.items, None)(np.arange(64))
    with torch.no_grad():
        _, regularisation = Objective(ranker, replace(TRAIN, **weights), ONE)(  # type: ignore[arg-type]
            batch, [64], batch.distinct_U
        )
        return (
            float(regularisation),
            ranker.auxiliary_losses(batch.distinct_U),
            losses.touched_l2(ranker, batch.distinct_U),
        )


def test_each_auxiliary_loss_has_its_own_weight(job: Job) -> None:
    weights = {"align_weight": 0.3, "distil_weight": 5.0, "embedding_l2": 0.7}
    found, auxiliary, touched_l2 = regularised(job, ("align", "distil"), **weights)
    expected = 0.3 * auxiliary["align"] + 5.0 * auxiliary["distil"] + 0.7 * touched_l2
    assert found == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("uses", "weights"),
    [
        pytest.param(("align", "distil"), {}, id="uses without weight"),
        pytest.param(("concat",), {"align_weight": 1.0, "distil_weight": 1.0}, id="weights without use"),
    ],
)
def test_a_use_counts_only_with_its_weight(job: Job, uses: tuple[ContentUse, ...], weights: dict[str, float]) -> None:
    assert regularised(job, uses, **weights)[0] == 0.0


def gradients(job: Job, parts: int, **weights: float) -> dict[str, torch.Tensor]:
    """The gradients of one step over rows 0 to 63, computed in so many parts."""
    torch.manual_seed(0)
    model = replace(MODEL, content=("align", "distil"), transformer_dropout=0.0, deep_dropout=0.0)
    ranker = Ranker(model, vocabulary_of(job.items()), table_from(job.items()))
    collate = Collator(job.rows()[0], MODEL.history_length, ranker.vocabulary.items, None)
    config = replace(TRAIN, accumulate=parts, gradient_clip=0.0, **weights)  # type: ignore[arg-type]
    objective = Objective(ranker, config, ONE).train()
    optimiser = Optimiser(objective, [torch.optim.SGD(objective.parameters(), lr=0.0)])
    shares = [np.arange(64)[part::parts] for part in range(parts)]
    optimiser.step([collate(rows) for rows in shares], [[len(rows)] for rows in shares])
    return {name: value.grad for name, value in ranker.named_parameters() if value.grad is not None}


@pytest.mark.parametrize(
    "weights",
    [{}, {"embedding_l2": 0.1}, {"align_weight": 0.3}, {"distil_weight": 2.0}],
    ids=lambda weights: next(iter(weights), "bce"),
)
@pytest.mark.parametrize("parts", [2, 4, 5])
def test_a_step_in_parts_has_the_gradient_of_the_whole(job: Job, parts: int, weights: dict[str, float]) -> None:
    whole, cut = gradients(job, 1, **weights), gradients(job, parts, **weights)
    assert whole.keys() == cut.keys()
    for name, gradient in whole.items():
        np.testing.assert_allclose(cut[name], gradient, rtol=1e-4, atol=1e-6, err_msg=name)


def built(job: Job, **config: float) -> tuple[Ranker, Collator, Objective]:
    torch.manual_seed(0)
    model = replace(MODEL, transformer_dropout=0.0, deep_dropout=0.0)
    ranker = Ranker(model, vocabulary_of(job.items()), table_from(job.items()))
    with torch.no_grad():  # as written all scores start alike
        ranker.item_encoder.id.weight.normal_()
    collate = Collator(job.rows()[0], MODEL.history_length, ranker.vocabulary.items, None)
    return ranker, collate, Objective(ranker, replace(TRAIN, **config), ONE)  # type: ignore[arg-type]


def scored(job: Job, ranker: Ranker, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(logits, labels) of rows, without the code under test."""
    probabilities = score(ranker, job.rows()[0], which=rows)
    return np.log(probabilities / (1 - probabilities)), job.rows()[0].label[rows]


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_the_pairwise_loss_has_its_share_and_cross_entropy_has_the_rest(job: Job, share: float) -> None:
    ranker, collate, objective = built(job, pairwise_weight=share)
    rows = np.arange(40)
    logits, labels = scored(job, ranker.eval(), rows)
    bce = np.mean(np.log1p(np.exp(np.where(labels == 1, -logits, logits))))
    pairs = [np.log1p(np.exp(logits[n] - logits[p])) for p in rows for n in rows if labels[p] > labels[n]]
    with torch.no_grad():
        loss, regularisation = objective(collate(rows), [40], None)
    assert float(loss) == pytest.approx((1 - share) * bce + share * np.mean(pairs), rel=1e-4)
    assert float(regularisation) == 0.0, "a part that brings no items has none"


@pytest.mark.parametrize("sizes", [[40], [30, 9, 1]])
def test_the_loss_of_a_step_is_the_mean_over_its_rows(job: Job, sizes: list[int]) -> None:
    ranker, collate, objective = built(job)
    logits, labels = scored(job, ranker.eval(), np.arange(40))
    parts = np.split(np.arange(40), np.cumsum(sizes)[:-1])
    optimiser = Optimiser(objective, [torch.optim.SGD(objective.parameters(), lr=0.0)])
    loss = optimiser.step([collate(rows) for rows in parts], [[size] for size in sizes])
    expected = np.mean(np.log1p(np.exp(np.where(labels == 1, -logits, logits))))
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert not loss.requires_grad


def gradient_norm(ranker: Ranker) -> float:
    return float(torch.cat([value.grad.flatten() for value in ranker.parameters() if value.grad is not None]).norm())


def test_a_step_follows_its_own_gradient_clipped_and_no_earlier_one(job: Job) -> None:
    ranker, collate, objective = built(job, gradient_clip=0.0)
    batch, sizes = collate(np.arange(64)), [[64]]
    free = Optimiser(objective, [torch.optim.SGD(objective.parameters(), lr=0.0)])
    free.step([batch], sizes)
    whole = gradient_norm(ranker)
    free.step([batch], sizes)
    assert gradient_norm(ranker) == pytest.approx(whole, rel=1e-5), "the gradient of the step before is gone"
    _, _, clipped = built(job, gradient_clip=whole / 3)
    ranker = clipped.ranker
    before = {name: value.detach().clone() for name, value in ranker.named_parameters()}
    half = len(list(ranker.parameters())) // 2
    own, others = list(ranker.parameters())[:half], list(ranker.parameters())[half:]
    optimiser = Optimiser(clipped, [torch.optim.SGD(own, lr=0.5), torch.optim.SGD(others, lr=0.5)])
    optimiser.step([batch], sizes)
    assert gradient_norm(ranker) == pytest.approx(whole / 3, rel=1e-4)
    for name, value in ranker.named_parameters():
        moved = torch.zeros_like(value) if value.grad is None else 0.5 * value.grad
        torch.testing.assert_close(before[name] - value.detach(), moved, rtol=1e-4, atol=1e-6, msg=name)


def test_an_item_that_two_parts_hold_counts_once(job: Job) -> None:
    _, collate, objective = built(job, embedding_l2=0.1)
    batches = [collate(np.arange(20)), collate(np.arange(10, 30))]
    expected = np.unique(np.concatenate([batch.distinct_U.numpy() for batch in batches]))
    np.testing.assert_array_equal(objective.distinct_items(batches).numpy(), expected)
    assert sum(len(batch.distinct_U) for batch in batches) > len(expected)


def test_pairs_across_the_parts_of_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match=r"train\.pairwise_weight = 0\.5 with train\.accumulate = 4: pairs are formed"):
        TrainConfig(pairwise_weight=0.5, accumulate=4)


@pytest.mark.parametrize(("count", "hooked"), [(2, []), (3, [3])])
def test_the_mean_of_three_processes_on_processors_is_taken_in_one_order(
    count: int, hooked: list[int], job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two numbers have one sum. Of more, the sum depends on the order, which gloo leaves open."""
    asked: list[int] = []

    class Distributed(torch.nn.Module):
        def __init__(self, *_: torch.nn.Module, **__: bool) -> None:
            super().__init__()

        def register_comm_hook(self, ranks: int, _: object) -> None:
            asked.append(ranks)

    monkeypatch.setattr(objective, "DistributedDataParallel", Distributed)
    ranker = Ranker(MODEL, vocabulary_of(job.items()), table_from(job.items()))
    Optimiser(Objective(ranker, TRAIN, Ranks(0, count, torch.device("cpu"))), [])
    assert asked == hooked
