import pytest
import torch

from model.dropout import Dropout, dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
def test_the_right_share_is_kept_and_scaled_up(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    dropped = dropout(torch.ones(997, 1003, dtype=dtype), p, training=True)
    kept = dropped != 0
    assert kept.float().mean().item() == pytest.approx(1 - p, abs=3e-3)
    assert sorted(set(dropped[kept].tolist())) == pytest.approx(
        [1 / (1 - p)], rel=1e-2 if dtype == torch.bfloat16 else 1e-4
    )
    assert dropped.double().mean().item() == pytest.approx(1.0, abs=1e-2)


def test_neighbours_are_independent() -> None:
    """Four elements share one random word."""
    torch.manual_seed(0)
    kept = (dropout(torch.ones(400_000), 0.5, training=True) != 0).view(-1, 4).float()
    correlation = torch.corrcoef(kept.T) - torch.eye(4)
    assert correlation.abs().max().item() < 0.02
    assert torch.corrcoef(torch.stack([kept[:-1, 3], kept[1:, 0]]))[0, 1].abs().item() < 0.02


def test_the_generator_decides_the_mask() -> None:
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(dropout(torch.ones(1000), 0.2, training=True))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_gradients_flow_through_what_is_kept() -> None:
    torch.manual_seed(0)
    x = torch.ones(64, requires_grad=True)
    dropped = dropout(x, 0.4, training=True)
    torch.autograd.backward(dropped.sum())
    assert x.grad is not None
    torch.testing.assert_close(x.grad, dropped.detach())


def test_nothing_is_dropped_in_evaluation() -> None:
    x = torch.randn(5)
    assert Dropout(0.9).eval()(x) is x
    assert dropout(x, 0.0, training=True) is x
