from dataclasses import replace

import numpy as np
import pytest
import torch

from components.batches.item_table import table_from, vocabulary_of
from components.batches.loader import Collator
from components.train.config import TrainConfig
from components.train.job import Job
from components.train.objective import Objective, Optimiser
from components.train.ranks import Ranks
from model import losses
from model.config import ContentUse
from model.ranker import Ranker
from tests.tiny_training import MODEL, TRAIN

ONE = Ranks(0, 1, torch.device("cpu"))


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


def test_pairs_across_the_parts_of_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match=r"train\.pairwise_weight = 0\.5 with train\.accumulate = 4: pairs are formed"):
        TrainConfig(pairwise_weight=0.5, accumulate=4)
