"""Linear maps of rows whose first features are zero; rows are sorted so that earlier ones have more of these zeros.

A history of h < K items leaves the first K - h of the K output blocks empty. What is zero stays zero through a cross
network (c <- f * (W c + b) + c), so with rows sorted by length the features are a staircase, and each block of W is
multiplied only with the rows that have values for it. The result is exact, takes less than a third of the arithmetic at
the challenge's lengths, and reads each weight and writes each gradient once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_NEXT = "memory_of_next_gradient"  # attribute of a weight


@dataclass(frozen=True)
class Staircase:
    """The columns from `columns[s]` to those of the step before are zero in the rows before `rows[s]`.

    The first step holds the last columns, which all rows have. Columns before those of the last step are zero in all.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @classmethod
    def of_blocks(cls, rows: Sequence[int], base: int, width: int, total: int) -> "Staircase":
        """All `total` rows have the columns from `base` on; block i, `width` wide, ends where block i - 1 begins and is
        zero before row `rows[i]`. Blocks that begin at the same row are one step, empty ones none."""
        steps = {0: base}
        for block, row in enumerate(rows, start=1):
            if row < total:
                steps[row] = base - block * width
        return cls(tuple(steps), tuple(steps.values()))

    def steps(self, end: int) -> Iterator[tuple[slice, slice, slice]]:
        """(rows, its own columns, the columns behind them) of each step of a matrix with `end` columns."""
        behind = end
        for row, column in zip(self.rows, self.columns, strict=True):
            yield slice(row, None), slice(column, behind), slice(behind, end)
            behind = column


def staircase_linear(x: Tensor, weight: Tensor, bias: Tensor, stairs: Staircase, square: bool) -> Tensor:
    """`F.linear` for x that has zeros where `stairs` says; no gradient flows to them.

    With `square` the result is made where x may be other than zero, and means nothing elsewhere.
    """
    device = weight.device.type
    precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    result: Tensor = _StaircaseLinear.apply(x, weight, bias, stairs, square, precision)  # type: ignore[no-untyped-call]
    return result


def retire_gradient(weight: Tensor) -> None:
    """Takes the gradient off a weight and, where the next one is written here, keeps its memory for that.

    Memory fresh from the kernel is cleared page by page when first touched, and a gigabyte of gradients goes back and
    forth every step: a fifth of its time at the challenge's size.
    """
    if _NEXT in vars(weight):
        setattr(weight, _NEXT, weight.grad)
    weight.grad = None


def _memory_for_gradient(weight: Tensor) -> Tensor:
    kept = vars(weight).get(_NEXT)
    setattr(weight, _NEXT, None)  # handed on: autograd adopts a gradient only if nobody else holds it
    return torch.empty_like(weight) if kept is None else kept


class _StaircaseLinear(torch.autograd.Function):
    """Slicing under autograd would make a full gradient of W for each step; this makes one and fills it by steps.

    Under autocast the products are made in the lower precision and added up in that of the weights: a sum that is
    rounded at every step of the stairs would lose twice as much as one full product does.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stairs: Staircase, square: bool, precision: torch.dtype
    ) -> Tensor:
        lowered_x, lowered = x.to(precision), weight.to(precision)
        ctx.save_for_backward(lowered_x, lowered)
        ctx.stairs, ctx.square, ctx.parameter, ctx.dtype = stairs, square, weight, x.dtype
        y = torch.zeros(len(x), len(weight), dtype=weight.dtype, device=x.device)
        for rows, own, behind in stairs.steps(weight.shape[1]):
            if not square:
                _add_product(lowered_x[rows, own], lowered[:, own].t(), y[rows])
                continue
            reach = slice(own.start, behind.stop)
            _product(lowered_x[rows, reach], lowered[own, reach].t(), y[rows, own])
            if behind.start < behind.stop:
                _add_product(lowered_x[rows, own], lowered[behind, own].t(), y[rows, behind])
        return y.add_(bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        lowered = gradient.to(weight.dtype)
        to_weight = _memory_for_gradient(ctx.parameter)
        _zero_unreached(to_weight, ctx.stairs, ctx.square)
        to_x = torch.zeros_like(x, dtype=ctx.dtype) if ctx.needs_input_grad[0] else None
        for rows, own, behind in ctx.stairs.steps(weight.shape[1]):
            outputs = slice(own.start, behind.stop) if ctx.square else slice(None)
            _product(lowered[rows, outputs].t(), x[rows, own], to_weight[outputs, own])
            if to_x is not None:
                _product(lowered[rows, outputs], weight[outputs, own], to_x[rows, own])
            if ctx.square and behind.start < behind.stop:
                _product(lowered[rows, own].t(), x[rows, behind], to_weight[own, behind])
                if to_x is not None:
                    _add_product(lowered[rows, own], weight[own, behind], to_x[rows, behind])
        return to_x, to_weight, gradient.sum(0, dtype=to_weight.dtype), None, None, None


def _product(left: Tensor, right: Tensor, out: Tensor) -> None:
    if left.dtype == out.dtype:
        torch.mm(left, right, out=out)
    else:
        out.copy_(left @ right)


def _add_product(left: Tensor, right: Tensor, out: Tensor) -> None:
    if left.dtype == out.dtype:
        out.addmm_(left, right)
    else:
        out.add_(left @ right)


def _zero_unreached(to_weight: Tensor, stairs: Staircase, square: bool) -> None:
    first = stairs.columns[-1]
    to_weight[:, :first] = 0
    if square:
        to_weight[:first, first:] = 0
