"""Linear maps of rows in groups, each group's leading features being zero and left out.

A history of h < K items leaves the first K - h of the K output blocks empty. What is zero stays zero through a cross
network (c <- f * (W c + b) + c), so a group needs only the last rows and columns of W: exact, and at the challenge's
lengths about a third of the arithmetic.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def tail_linear(groups: Sequence[Tensor], weight: Tensor, bias: Tensor, square: bool) -> tuple[Tensor, ...]:
    """Each group times the last columns of `weight`, as many as it has; with `square`, to as many of the last rows."""
    if torch.is_autocast_enabled(weight.device.type):
        lower = torch.get_autocast_dtype(weight.device.type)
        groups = [group.to(lower) for group in groups]
    results: tuple[Tensor, ...] = _TailLinear.apply(weight, bias, square, *groups)  # type: ignore[no-untyped-call]
    return results


class _TailLinear(torch.autograd.Function):
    """Slicing under autograd would make a full gradient of W for each group; this makes one and adds to its corner."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, square: bool, *groups: Tensor) -> tuple[Tensor, ...]:
        lowered = weight.to(groups[0].dtype)  # to the precision of the products: under autocast the lower one
        ctx.save_for_backward(lowered, *groups)
        ctx.square, ctx.dtype = square, weight.dtype
        bias = bias.to(lowered.dtype)
        return tuple(F.linear(x, _tail(lowered, x, square), bias[-x.shape[1] :] if square else bias) for x in groups)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight, *groups = ctx.saved_tensors
        if groups[-1].shape[1] == weight.shape[1]:  # the widest is the last: its product saves a pass of zeros
            to_weight = (gradients[-1].t() @ groups[-1]).to(ctx.dtype)
        else:
            to_weight = _add_product(torch.zeros_like(weight, dtype=ctx.dtype), gradients[-1], groups[-1], ctx.square)
        for x, gradient in zip(groups[:-1], gradients[:-1], strict=True):
            _add_product(to_weight, gradient, x, ctx.square)
        to_bias = weight.new_zeros(weight.shape[0], dtype=ctx.dtype)
        to_groups: list[Tensor | None] = []
        for position, (x, gradient) in enumerate(zip(groups, gradients, strict=True)):
            to_bias[-gradient.shape[1] :] += gradient.sum(0)
            needed = ctx.needs_input_grad[3 + position]
            to_groups.append(gradient @ _tail(weight, x, ctx.square) if needed else None)
        return to_weight, to_bias, None, *to_groups


def _add_product(to_weight: Tensor, gradient: Tensor, x: Tensor, square: bool) -> Tensor:
    corner = _tail(to_weight, x, square)
    if gradient.dtype == to_weight.dtype:
        corner.addmm_(gradient.t(), x)
    else:
        corner += gradient.t() @ x
    return to_weight


def _tail(weight: Tensor, x: Tensor, square: bool) -> Tensor:
    width = x.shape[1]
    return weight[-width:, -width:] if square else weight[:, -width:]
