"""Id embeddings of items that were not trained, held against slow references that work item by item."""

from typing import Any, get_args

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from benchmarks.untrained_ids import NEIGHBOURS, Kind, ids_of_kind

RANDOM = torch.Generator().manual_seed(0)
IDS_SE, CONTENT_SC, CONTENT_NC = (torch.randn(*shape, generator=RANDOM) for shape in ((30, 4), (30, 8), (7, 8)))


def _nearest(content_C: Tensor) -> Any:
    cosines = [
        float(np.dot(content_C, trained) / np.linalg.norm(content_C) / np.linalg.norm(trained))
        for trained in CONTENT_SC.numpy()
    ]
    best = sorted(range(30), key=lambda place: -cosines[place])[:NEIGHBOURS]
    return np.mean([IDS_SE.numpy()[place] for place in best], axis=0)


def test_zero_is_no_embedding_and_mean_is_the_same_for_all() -> None:
    assert ids_of_kind("zero", IDS_SE, CONTENT_SC, CONTENT_NC).abs().max() == 0
    found = ids_of_kind("mean", IDS_SE, CONTENT_SC, CONTENT_NC)
    np.testing.assert_allclose(found, np.tile(IDS_SE.numpy().mean(0), (7, 1)), atol=1e-6)


def test_nearest_is_the_mean_of_the_items_with_the_most_alike_content() -> None:
    found = ids_of_kind("nearest", IDS_SE, CONTENT_SC, CONTENT_NC)
    np.testing.assert_allclose(found, [_nearest(content_C.numpy()) for content_C in CONTENT_NC], atol=1e-6)


def test_ridge_is_scikit_learns() -> None:
    found = ids_of_kind("ridge", IDS_SE, CONTENT_SC, CONTENT_NC)
    centred = CONTENT_SC.double().numpy() - CONTENT_SC.double().numpy().mean(0)
    reference = Ridge(alpha=0.1 * float(np.square(centred).sum(0).mean())).fit(CONTENT_SC.double(), IDS_SE.double())
    np.testing.assert_allclose(found, reference.predict(CONTENT_NC.double()), atol=1e-5)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_takes_no_trained_item_few_of_them_and_no_new_one(kind: Kind) -> None:
    for trained, new in ((0, 7), (1, 7), (30, 0)):
        found = ids_of_kind(kind, IDS_SE[:trained], CONTENT_SC[:trained], CONTENT_NC[:new])
        assert found.shape == (new, 4)
        assert found.isfinite().all()
