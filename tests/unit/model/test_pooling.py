from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from model.pooling import MeanPool, RecencyPool
from tests.unit.model.builders import BASE

WIDTH = 6


def case() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    items_UD, target_BD = torch.randn(12, WIDTH), torch.randn(3, WIDTH)
    history_BL = torch.randint(1, 12, (3, 7))
    history_BL[0] = 0
    history_BL[1, :4] = 0
    return items_UD, history_BL, target_BD, history_BL != 0


def test_the_mean_is_over_real_items_alone() -> None:
    items_UD, history_BL, target_BD, real_BL = case()
    found_BD = MeanPool(WIDTH)(items_UD, history_BL, target_BD, real_BL)
    for row in (1, 2):
        torch.testing.assert_close(found_BD[row], items_UD[history_BL[row][real_BL[row]]].mean(0))
    assert (found_BD[0] == 0).all()


def test_recency_sums_by_age_once_a_head() -> None:
    block = RecencyPool(replace(BASE, heads=2), WIDTH)
    items_UD, history_BL, target_BD, real_BL = case()
    expected = np.zeros((3, 2, WIDTH))
    for row, place in zip(*np.nonzero(real_BL.numpy()), strict=True):
        for head in range(2):
            weight = block.weight_HL[head, 6 - place].item()
            expected[row, head] += weight * items_UD[history_BL[row, place]].numpy()
    with torch.no_grad():
        found_BX = block(items_UD, history_BL, target_BD, real_BL)
    np.testing.assert_allclose(found_BX.numpy(), expected.reshape(3, -1), rtol=1e-5, atol=1e-6)


def test_recency_starts_as_decays_of_ever_longer_reach() -> None:
    weight_HL = RecencyPool(replace(BASE, heads=3, history_length=64), WIDTH).weight_HL.detach()
    assert (weight_HL.diff(dim=1) < 0).all()
    newest_share = weight_HL[:, 0] / weight_HL.sum(1)
    assert (newest_share.diff() < 0).all()
