"""What a training takes over from the champion: its weights, and with them all that older rows have taught it."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from components.train.job import weights_of
from model.ranker import Ranker

Array = npt.NDArray[Any]


@torch.no_grad()
def inherit(ranker: Ranker, champion: Ranker) -> None:
    """Copies the champion's weights and statistics into `ranker`.

    Only embedding tables may differ in size, by rows for ids and codes that came or went: new rows stay as they are.
    """
    theirs = weights_of(champion)
    for name, value in weights_of(ranker).items():
        rows = min(len(value), len(theirs[name]))
        value[:rows].copy_(theirs[name][:rows])


def rows_to_learn(time: Array | None, newest: int | None, share: float, seed: int) -> Array | None:
    """Numbers of the rows that a training learns from; None stands for all of them.

    A start from the champion learns from the rows that are younger than all that it knows. Of the older ones so many
    are drawn that they are `share` of the rows, or all if there are fewer. It learns from all rows of data without
    times, and of data in which no row is new.
    """
    if time is None or newest is None:
        return None
    new = np.flatnonzero(time > newest)
    old = np.flatnonzero(time <= newest)
    if not len(new):
        return None
    wanted = min(len(old), round(len(new) * share / (1 - share)))
    drawn = np.random.default_rng([seed, newest]).choice(old, wanted, replace=False)
    return np.sort(np.concatenate([new, drawn]))
