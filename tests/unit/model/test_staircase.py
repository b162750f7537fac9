import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from model.interaction import CrossNetwork, DeepNetwork
from model.staircase import Staircase, retire_gradient, staircase_linear

WIDTH = 12
STAIRS = {
    "three-steps": Staircase((0, 2, 4), (9, 4, 0)),
    "columns-nobody-has": Staircase((0, 3), (8, 5)),
    "one-step": Staircase((0,), (0,)),
    "one-step-short": Staircase((0,), (7,)),
}


def features(stairs: Staircase) -> Tensor:
    torch.manual_seed(0)
    x_BF = torch.randn(6, WIDTH, dtype=torch.float64)
    for rows, own, _ in stairs.steps(WIDTH):
        x_BF[: rows.start, own] = 0
    x_BF[:, : stairs.columns[-1]] = 0
    return x_BF.requires_grad_()


def corner(stairs: Staircase) -> Tensor:
    """Which places the features may fill."""
    return features(stairs).detach() != 0


@pytest.mark.parametrize("square", [True, False], ids=["square", "narrow"])
@pytest.mark.parametrize("stairs", STAIRS.values(), ids=STAIRS)
def test_a_linear_map_equals_the_full_one(stairs: Staircase, square: bool) -> None:
    x_BF = features(stairs)
    outputs = WIDTH if square else 5
    weight = torch.randn(outputs, WIDTH, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(outputs, dtype=torch.float64, requires_grad=True)
    used = corner(stairs) if square else torch.ones(6, outputs, dtype=torch.bool)
    through = torch.randn(6, outputs, dtype=torch.float64) * used
    tensors = (x_BF, weight, bias)
    ours, full = staircase_linear(*tensors, stairs, square), F.linear(*tensors)
    torch.testing.assert_close(ours * used, full * used)
    to_x, *to_rest = torch.autograd.grad(ours, tensors, through)
    full_to_x, *full_to_rest = torch.autograd.grad(full, tensors, through)
    torch.testing.assert_close(to_x * corner(stairs), full_to_x * corner(stairs))
    torch.testing.assert_close(to_rest, full_to_rest)


@pytest.mark.parametrize("stairs", STAIRS.values(), ids=STAIRS)
def test_on_a_staircase_the_networks_compute_what_they_do_in_full(stairs: Staircase) -> None:
    x_BF = features(stairs)
    for network in (CrossNetwork(WIDTH, 3).double(), DeepNetwork(WIDTH, (5, 3), 0.0).double()):
        found, wanted = network.forward_staircase(x_BF, stairs), network(x_BF)
        torch.testing.assert_close(found, wanted)
        parameters = list(network.parameters())
        ours, full = (torch.autograd.grad(y.square().sum(), parameters) for y in (found, wanted))
        torch.testing.assert_close(ours, full)


def test_the_memory_of_a_gradient_is_used_again_and_its_values_are_not() -> None:
    network, x_BF = CrossNetwork(WIDTH, 1).double(), features(STAIRS["columns-nobody-has"])
    weight = next(network.parameters())

    def gradient_of(loss: Tensor) -> Tensor:
        torch.autograd.backward(loss)
        assert weight.grad is not None
        return weight.grad

    first = gradient_of(network.forward_staircase(x_BF, STAIRS["columns-nobody-has"]).sum())
    wanted, place = first.clone(), first.data_ptr()
    first.fill_(float("nan"))
    retire_gradient(weight)
    assert weight.grad is None
    del first
    again = gradient_of(network.forward_staircase(x_BF, STAIRS["columns-nobody-has"]).sum())
    assert again.data_ptr() == place
    torch.testing.assert_close(again, wanted)
    both = gradient_of(network.forward_staircase(x_BF, STAIRS["columns-nobody-has"]).sum())
    torch.testing.assert_close(both, 2 * wanted)  # a second one in the same step is added


def test_under_autocast_the_products_are_in_lower_precision_and_the_gradients_are_not() -> None:
    stairs = STAIRS["three-steps"]
    network, x_BF = CrossNetwork(WIDTH, 2), features(stairs).detach().float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = network.forward_staircase(x_BF, stairs)
        wanted = network(x_BF)
    torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.05)
    torch.autograd.backward(found.sum())
    assert {parameter.grad.dtype for parameter in network.parameters() if parameter.grad is not None} == {torch.float32}


@pytest.mark.parametrize("square", [True, False], ids=["square", "narrow"])
def test_many_steps_in_low_precision_lose_no_more_than_one_full_product(square: bool) -> None:
    """Against float64. A sum that was rounded to bfloat16 at each of the 16 steps was 1.6 times as far off."""
    torch.manual_seed(0)
    width = 512
    stairs = Staircase(tuple(range(0, 256, 16)), tuple(range(width - 32, -1, -32)))
    x_BF, weight, bias = torch.randn(256, width), torch.randn(width, width) / width**0.5, torch.zeros(width)
    for rows, own, _ in stairs.steps(width):
        x_BF[: rows.start, own] = 0
    filled = x_BF != 0
    used = filled if square else torch.ones_like(filled)
    through = torch.randn(256, width) * used

    def results(low_precision: bool, on_stairs: bool) -> list[Tensor]:
        dtype = torch.float32 if low_precision else torch.float64
        x, w, b = tensors = [tensor.to(dtype).clone().requires_grad_() for tensor in (x_BF, weight, bias)]
        with torch.autocast("cpu", torch.bfloat16, enabled=low_precision):
            y = staircase_linear(x, w, b, stairs, square) if on_stairs else F.linear(x, w, b)
        to_x, to_weight, _ = torch.autograd.grad(y, tensors, through.to(y.dtype))
        return [part.detach().double() for part in (y * used, to_x * filled, to_weight)]

    exact, plain, ours = results(False, False), results(True, False), results(True, True)
    for truth, one_product, steps in zip(exact, plain, ours, strict=True):
        assert (steps - truth).norm() < 1.05 * (one_product - truth).norm()
