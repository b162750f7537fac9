"""The last step of a ranker: a rising map from its logits to logits whose probabilities can be used.

Training data that leave out non-clicks make clicks look more frequent than they are, and training until the best AUC
can make a ranker too sure of itself. The map consists of straight lines, so that an exported network can hold it.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


@dataclass(frozen=True)
class LogitMap:
    """Straight lines between knots; before the first knot and after the last one, a line with this slope."""

    method: str = "none"  # how it was found
    knots: tuple[tuple[float, float], ...] = ((0.0, 0.0),)  # (logit of the network, logit that is given out)
    slope: float = 1.0
    negatives_kept: float = 1.0  # share of the non-clicks that the training rows kept; the knots correct for it

    def __post_init__(self) -> None:
        if not self.knots:
            raise ValueError("a calibration needs a knot")
        for (logit, given), (next_logit, next_given) in pairwise(self.knots):
            if not (logit < next_logit and given < next_given):
                raise ValueError(
                    f"a calibration must rise, but ({logit:g}, {given:g}) is before {next_logit, next_given}"
                )
        if self.slope <= 0:
            raise ValueError(f"a calibration must rise, but its slope is {self.slope:g}")


class Calibration(nn.Module):
    """The map is no weight: it is fitted after the training, and a checkpoint's header holds it."""

    starts_K: Tensor
    widths_K: Tensor
    slopes_K: Tensor

    def __init__(self, of: LogitMap) -> None:
        super().__init__()
        self.of = of
        (self.first, self.offset), self.last = of.knots[0], of.knots[-1][0]
        if len(of.knots) > 1:  # torch.export can't write a tensor without elements
            knots_K2 = torch.tensor(of.knots, dtype=torch.float64)
            widths_K, rises_K = knots_K2.diff(dim=0).T
            for name, values in (
                ("starts_K", knots_K2[:-1, 0]),
                ("widths_K", widths_K),
                ("slopes_K", rises_K / widths_K),
            ):
                self.register_buffer(name, values.float(), persistent=False)

    def forward(self, logits_B: Tensor) -> Tensor:
        outside_B = -F.relu(self.first - logits_B) + F.relu(logits_B - self.last)
        given_B = self.offset + self.of.slope * outside_B
        if len(self.of.knots) == 1:
            return given_B
        inside_BK = torch.minimum(F.relu(logits_B[:, None] - self.starts_K), self.widths_K)
        return given_B + inside_BK @ self.slopes_K
