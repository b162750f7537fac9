"""A ranker with one of its inputs replaced by the mean of what the ranker makes of it, so that it tells no rows apart.

The mean keeps the network where it was trained to work. Zeros would not, and would lower the AUC of any ranker.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from components.dataset.layout import TAGS
from model.ranker import Ranker

CONTENT = "content"


@dataclass(frozen=True)
class Part:
    """One output of a module: the whole, or the one at `place` of a list."""

    module: nn.Module
    place: int | None = None

    def of(self, output: Any) -> Tensor:
        found: Tensor = output if self.place is None else output[self.place]
        return found

    def within(self, output: Any, changed: Tensor) -> Any:
        if self.place is None:
            return changed
        return [*output[: self.place], changed, *output[self.place + 1 :]]


Means = Mapping[Part, Tensor]


def parts_of(ranker: Ranker) -> dict[str, list[Part]]:
    """By input, where it enters the ranker: the content, the tags, and each declared feature that the ranker uses."""
    encoder = ranker.item_encoder
    entries: dict[str, list[Part]] = {}
    if ranker.config.content:
        modules = [encoder.normalise, *(m for name in ("codes",) if (m := getattr(encoder, name, None)) is not None)]
        modules += [m for name in ("similarity", "metric") if (m := getattr(ranker, name, None)) is not None]
        entries[CONTENT] = [Part(module) for module in modules]
    owners = (encoder.features, "item"), (ranker.row, "row"), (ranker.event, "event")
    for features, owner in owners:
        for place, name in enumerate(features.names):
            entries[name if name == TAGS else f"{name} of the {owner}"] = [Part(features, place)]
    return entries


@contextmanager
def recording(parts: list[Part]) -> Iterator[dict[Part, Tensor]]:
    """The means of these parts over all that the ranker computes in this block; complete when the block ends."""
    sums: dict[Part, tuple[Tensor, int]] = {}
    means: dict[Part, Tensor] = {}

    def record(part: Part, output: Any) -> None:
        rows_X = part.of(output).detach().double()
        total, count = sums.get(part, (torch.zeros_like(rows_X[0]), 0))
        sums[part] = total + rows_X.sum(0), count + len(rows_X)

    with ExitStack() as hooks:
        for part in parts:
            handle = part.module.register_forward_hook(lambda _, __, output, part=part: record(part, output))
            hooks.callback(handle.remove)
        yield means
    means.update({part: total / max(1, count) for part, (total, count) in sums.items()})


@contextmanager
def neutral(parts: list[Part], means: Means) -> Iterator[None]:
    """Inside this block each of these parts is its mean, whatever the rows and items are."""

    def replaced(part: Part, output: Any) -> Any:
        there = part.of(output)
        return part.within(output, means[part].to(there.dtype).expand_as(there))

    with ExitStack() as hooks:
        for part in parts:
            handle = part.module.register_forward_hook(lambda _, __, output, part=part: replaced(part, output))
            hooks.callback(handle.remove)
        yield
