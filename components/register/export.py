"""A trained ranker as a program that runs without this project's code (`torch.export`)."""

import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from components.errors import StepError
from components.storage.files import atomic_path
from model.config import Feature, Vocabulary, numbers_width
from model.ranker import Events, Ranker

PROGRAM_TOLERANCE = 1e-5  # of a probability; float32 noise is under 1e-6
_log = logging.getLogger(__name__)


class ServedRanker(torch.nn.Module):
    """`Ranker.forward` for histories that are no wider than the ranker reads, as the serving model makes them.

    Exported as it is, a ranker pads every history to its full width, because a program's graph may not depend on which
    of two lengths is the larger. At the challenge's width of 100 that costs nine times the work for a history of 8.
    """

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(
        self, history_BL: Tensor, item_B: Tensor, codes_BX: Tensor, numbers_BX: Tensor, events: Events | None = None
    ) -> Tensor:
        if self.ranker.config.mask == "inverted":  # this mask reads the padding, so it needs all of it
            logits_B: Tensor = self.ranker(history_BL, item_B, codes_BX, numbers_BX, events)
            return logits_B
        return self.ranker.score_rows(history_BL, item_B, codes_BX, numbers_BX, events)


def export(ranker: Ranker, path: Path) -> None:
    """The network with its weights and item table as a program that runs without this project's code."""
    with atomic_path(path) as scratch:
        program = scratch.with_name(f"{scratch.name}.pt2")  # torch insists on the suffix
        try:
            try:
                _write_program(ServedRanker(ranker.eval()), ranker.vocabulary, program)
                _check_program(program, ranker)
            except AssertionError as error:  # from torch: a part of this ranker was traced for one width only
                _log.warning("the program pads histories to full width, and is slow for it: %s", error)
                _write_program(ranker.eval(), ranker.vocabulary, program)
                _check_program(program, ranker)
            program.replace(scratch)
        finally:
            program.unlink(missing_ok=True)


def _write_program(network: torch.nn.Module, vocabulary: Vocabulary, path: Path) -> None:
    # Sizes other than 0 and 1, which torch.export takes for constants; a tensor of its own for each input, because
    # inputs that share memory become one input.
    history_BL = torch.ones(3, 2, dtype=torch.int64)
    item_B, random = torch.ones(3, dtype=torch.int64), torch.Generator().manual_seed(0)
    inputs = (history_BL, item_B, *_features(vocabulary, history_BL, random))
    free = torch.export.Dim.DYNAMIC
    shapes: tuple[Any, ...] = ({0: free, 1: free}, {0: free}, {0: free}, {0: free})
    if vocabulary.event:
        shapes = (*shapes, ({0: free, 1: free}, {0: free, 1: free}))
    with torch.no_grad():
        program = torch.export.export(network, inputs, dynamic_shapes=shapes)
    with _Archive(path, "wb") as file:
        torch.export.save(program, file)
        if file.error:
            raise OSError(file.error.errno, file.error.strerror, str(path))


class _Archive(io.FileIO):
    """Remembers the first error of a write instead of raising it: torch would end the whole process (std::terminate),
    because it writes the end of its archive also after an error.
    """

    error: OSError | None = None

    def write(self, content: Any) -> int:
        rest = memoryview(content).cast("B")
        try:
            while rest and not self.error:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return memoryview(content).nbytes


def _features(vocabulary: Vocabulary, history_BL: Tensor, random: torch.Generator) -> tuple[Any, ...]:
    """Random codes and numbers of the rows' features, and of the events' if there are any."""

    def blocks(features: Sequence[Feature], shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        codes = [
            torch.randint(feature.codes, (*shape, feature.width), generator=random)
            for feature in features
            if feature.codes
        ]
        numbers = torch.randn(*shape, numbers_width(features), generator=random)
        return torch.cat([torch.zeros(*shape, 0, dtype=torch.int64), *codes], dim=-1), numbers

    row = blocks(vocabulary.row, (len(history_BL),))
    return (*row, blocks(vocabulary.event, tuple(history_BL.shape))) if vocabulary.event else row


def _check_program(path: Path, ranker: Ranker) -> None:
    """Checks that the program scores as the ranker does, for several numbers of rows and of history items."""
    network, random = torch.export.load(str(path)).module(), torch.Generator().manual_seed(0)
    items = ranker.vocabulary.items
    for rows, length in ((1, 1), (2, ranker.config.history_length), (65, max(1, ranker.config.history_length // 2))):
        history_BL = torch.randint(items, (rows, length), generator=random)
        item_B = torch.randint(1, items, (rows,), generator=random)
        inputs = (history_BL, item_B, *_features(ranker.vocabulary, history_BL, random))
        with torch.no_grad():
            difference = (torch.sigmoid(network(*inputs)) - torch.sigmoid(ranker(*inputs))).abs().max().item()
        if not difference <= PROGRAM_TOLERANCE:
            raise StepError(
                f"the exported program scores {difference:.1e} away from the trained ranker for {rows} rows of "
                f"{length} items: this torch does not export this ranker faithfully; nothing was registered"
            )
