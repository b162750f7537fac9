"""An optimizer for the embedding tables of ids and tags that keeps one number a row instead of Adam's two a weight."""

from collections.abc import Iterable

import torch
from torch import Tensor

DECAY, EPSILON = 0.999, 1e-8  # Adam's defaults for the second moment


class Rowwise(torch.optim.Optimizer):
    """Divides a row's gradient by the root of a moving average of that row's mean squared gradient.

    This is Adam without a first moment and with one second moment for a whole row. A row that has no gradient keeps its
    weights and its average, whatever other rows do. Adam corrects the zeros that its averages start from by the number
    of steps; rows are touched at different times, so here the first gradient of a row starts its average instead.
    """

    def __init__(self, tables: Iterable[Tensor], lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(tables, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002 - torch's signature
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    state = self.state[table]
                    if not state:
                        state["second_moment"] = table.new_zeros(len(table))
                    _update(table, table.grad, state["second_moment"], group["lr"], group["weight_decay"])


def _update(table: Tensor, gradient: Tensor, second_R: Tensor, rate: float, weight_decay: float) -> None:
    """Computes on whole tables: picking rows out would stall a GPU. A gradient of zero changes nothing, bit for bit."""
    square_R = torch.linalg.vector_norm(gradient, dim=1).square() / gradient.shape[1]
    touched_R = square_R != 0
    averaged_R = torch.where(second_R == 0, square_R, torch.lerp(second_R, square_R, 1 - DECAY))
    second_R.copy_(torch.where(touched_R, averaged_R, second_R))
    if weight_decay:
        table.mul_((1 - rate * weight_decay * touched_R)[:, None])
    table.addcdiv_(gradient, second_R.sqrt().add_(EPSILON)[:, None], value=-rate)
