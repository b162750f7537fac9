"""Target attentions against numpy written position by position."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.config import Position
from model.target_attention import Dice, DinAttention, ReluAttention
from tests.unit.model.builders import BASE

WIDTH = 6


def case() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    items_UD, target_BD = torch.randn(12, WIDTH), torch.randn(3, WIDTH)
    history_BL = torch.randint(0, 12, (3, 7))
    history_BL[0] = 0
    history_BL[1, :4] = 0
    return items_UD, history_BL, target_BD, history_BL != 0


def randomised(block: nn.Module) -> nn.Module:
    for tensor in [*block.parameters(), *block.buffers()]:
        nn.init.normal_(tensor, std=0.7)
    for module in block.modules():
        if isinstance(module, Dice):
            module.variance_X.uniform_(0.1, 2.0)
    return block.eval()


def linear(layer: nn.Module, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    assert isinstance(layer, nn.Linear)
    result: np.ndarray[Any, Any] = layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()
    return result


@pytest.mark.parametrize("position", ["none", "learned"])
def test_din_is_a_network_of_target_item_difference_and_product(position: Position) -> None:
    block = randomised(DinAttention(replace(BASE, position=position), WIDTH))
    assert isinstance(block, DinAttention)
    items_UD, history_BL, target_BD, real_BL = case()
    expected = np.zeros((3, WIDTH))
    for row in range(3):
        target = target_BD[row].numpy()
        for place in np.flatnonzero(real_BL[row].numpy()):
            item = items_UD[history_BL[row, place]].numpy()
            hidden = np.concatenate([target, item, target - item, target * item])
            for layer, dice in zip(block.hidden, block.dice, strict=True):
                assert isinstance(dice, Dice)
                hidden = linear(layer, hidden)
                if layer is block.hidden[0] and block.position is not None:
                    hidden = hidden + block.position.weight[6 - place].detach().numpy()
                scaled = (hidden - dice.mean_X.numpy()) / np.sqrt(dice.variance_X.numpy() + dice.eps)
                share = 1 / (1 + np.exp(-scaled))
                hidden = share * hidden + (1 - share) * dice.alpha.detach().numpy() * hidden
            expected[row] += linear(block.score, hidden) * item
    with torch.no_grad():
        found_BD = block(items_UD, history_BL, target_BD, real_BL)
    np.testing.assert_allclose(found_BD.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert (found_BD[0] == 0).all()


@pytest.mark.parametrize("position", ["none", "learned"])
@pytest.mark.parametrize("heads", [1, 3])
def test_relu_attention_weighs_by_positive_dot_products(heads: int, position: Position) -> None:
    block = randomised(ReluAttention(replace(BASE, heads=heads, position=position), WIDTH))
    assert isinstance(block, ReluAttention)
    items_UD, history_BL, target_BD, real_BL = case()
    expected = np.zeros((3, WIDTH))
    for row in range(3):
        query = linear(block.query, target_BD[row].numpy())
        for place in np.flatnonzero(real_BL[row].numpy()):
            item = items_UD[history_BL[row, place]].numpy()
            key = linear(block.key, item)
            if block.position is not None:
                key = key + block.position.weight[6 - place].detach().numpy()  # the newest item stands at place 6
            for part in np.split(np.arange(WIDTH), heads):
                weight = max(0.0, query[part] @ key[part] / np.sqrt(len(part)))
                expected[row, part] += weight * linear(block.value, item)[part]
    with torch.no_grad():
        found_BD = block(items_UD, history_BL, target_BD, real_BL)
    np.testing.assert_allclose(found_BD.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_dice_normalises_as_batch_norm_does_over_real_positions() -> None:
    torch.manual_seed(0)
    dice, norm = Dice(4).train(), nn.BatchNorm1d(4, eps=1e-9, affine=False, momentum=0.01).train()
    x_BLX, real_BL = torch.randn(3, 6, 4), torch.rand(3, 6) < 0.6
    found_BLX = dice(torch.where(real_BL[..., None], x_BLX, 1e3), real_BL)
    real_RX = x_BLX[real_BL]
    torch.testing.assert_close(found_BLX[real_BL], torch.sigmoid(norm(real_RX)) * real_RX)
    torch.testing.assert_close(dice.mean_X, norm.running_mean)
    assert norm.running_var is not None
    unbiased = len(real_RX) / (len(real_RX) - 1)  # torch's running variance is the unbiased one
    torch.testing.assert_close(dice.variance_X - 0.99, (norm.running_var - 0.99) / unbiased)


@pytest.mark.parametrize("training", [False, True])
def test_dice_between_its_two_slopes(training: bool) -> None:
    dice = Dice(1).train(training)
    nn.init.constant_(dice.alpha, 1.0)
    x_BLX = torch.randn(2, 3, 1)
    torch.testing.assert_close(dice(x_BLX, torch.ones(2, 3, dtype=torch.bool)), x_BLX)
