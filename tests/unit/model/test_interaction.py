import numpy as np
import torch
from torch import nn

from model.interaction import CrossNetwork, DeepNetwork, LowRankCrossNetwork


def test_a_cross_layer_follows_its_equation() -> None:
    torch.manual_seed(0)
    block, features_BF = CrossNetwork(6, 3), torch.randn(4, 6)
    expected = features = features_BF.numpy()
    for layer in block.layers:
        assert isinstance(layer, nn.Linear)
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        expected = features * (expected @ weight.T + bias) + expected
    np.testing.assert_allclose(block(features_BF).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_low_rank_layer_is_a_full_one_whose_matrix_is_the_product() -> None:
    torch.manual_seed(0)
    low, full, features_BF = LowRankCrossNetwork(6, 3, 2), CrossNetwork(6, 3), torch.randn(4, 6)
    for down, up, layer in zip(low.down, low.up, full.layers, strict=True):
        assert isinstance(down, nn.Linear)
        assert isinstance(up, nn.Linear)
        assert isinstance(layer, nn.Linear)
        layer.weight.data, layer.bias.data = up.weight.data @ down.weight.data, up.bias.data
    torch.testing.assert_close(low(features_BF), full(features_BF))
    assert sum(p.numel() for p in low.parameters()) == 3 * (2 * 2 * 6 + 6)


def test_the_cross_network_reaches_one_degree_a_layer() -> None:
    block = CrossNetwork(1, 3)
    for layer in block.layers:
        assert isinstance(layer, nn.Linear)
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
    x = torch.tensor([[2.0]])
    assert float(block(x).detach()) == 2.0 * (1 + 2.0) ** 3  # c <- x c + c


def test_the_deep_network_is_linear_relu_by_width() -> None:
    torch.manual_seed(0)
    block, features_BF = DeepNetwork(6, (5, 3), 0.5).eval(), torch.randn(4, 6)
    hidden = features_BF
    for index in (0, 3):
        layer = block[index]
        assert isinstance(layer, nn.Linear)
        hidden = (hidden @ layer.weight.T + layer.bias).clamp(min=0)
    torch.testing.assert_close(block(features_BF), hidden)
    assert block.width == 3


def test_without_widths_the_deep_network_returns_its_features() -> None:
    features_BF = torch.randn(2, 6)
    block = DeepNetwork(6, (), 0.5)
    assert block.width == 6
    assert block(features_BF) is features_BF
