from dataclasses import replace

import numpy as np
import pytest
import torch

from components.batches.item_table import table_from, vocabulary_of
from components.batches.loader import Collator
from components.train.job import Job
from components.train.objective import Objective
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
        _, regularisation = Objective(ranker, replace(TRAIN, **weights), ONE)(batch, [64])  # type: ignore[arg-type]
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
