"""An input that is neutral tells no rows apart, whatever kind of ranker reads it; the ranker is left as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from components.diagnosis.neutral import CONTENT, neutral, parts_of, recording
from model.config import ModelConfig, code_columns
from model.ranker import Ranker
from tests.unit.model.builders import BASE, VARIANTS, histories, ranker, targets

LENGTHS = [0, 1, 3, 7, 20, 100]
ROWS = histories(LENGTHS, 100), *targets(len(LENGTHS))


def logits(model: Ranker, changed: tuple[Tensor, ...] = ROWS) -> Tensor:
    with torch.inference_mode():
        found: Tensor = model(*changed)
    return found


@contextmanager
def shuffled(model: Ranker, name: str) -> Iterator[tuple[Tensor, ...]]:
    """The rows, with that input of the items or of the rows given to others."""
    history, item, codes, numbers = ROWS
    table = model.table
    fixed = [table.content_NC, table.codes_NX, *(b for n, b in model.named_buffers() if n.endswith("codes_NQ"))]
    kept = [buffer.clone() for buffer in fixed]
    others = torch.from_numpy(np.random.default_rng(5).permutation(np.arange(1, len(table.seen_N))))
    if name.endswith(" of the row"):
        place = code_columns(model.vocabulary.row)[name.removesuffix(" of the row")]
        codes = codes.clone()
        codes[:, place] = codes[:, place].flip(0)
    elif name == CONTENT:
        for buffer in (fixed[0], *fixed[2:]):  # codes are made of the content before training
            buffer[1:] = buffer[others]
    else:
        place = code_columns(model.vocabulary.item)[name.removesuffix(" of the item")]
        table.codes_NX[1:, place] = table.codes_NX[others, place]
    try:
        yield history, item, codes, numbers
    finally:
        for buffer, value in zip(fixed, kept, strict=True):
            buffer.copy_(value)


INPUTS = [(variant, name) for variant, config in VARIANTS.items() for name in parts_of(ranker(config))]


@pytest.mark.parametrize(("variant", "name"), INPUTS, ids=lambda value: value)
def test_a_neutral_input_can_be_anything(variant: str, name: str) -> None:
    model = ranker(VARIANTS[variant])
    entries = parts_of(model)
    with recording([part for parts in entries.values() for part in parts]) as means:
        before = logits(model)
    with shuffled(model, name) as changed:
        moved = logits(model, changed)
        with neutral(entries[name], means):
            after = logits(model, changed)
    with neutral(entries[name], means):
        torch.testing.assert_close(logits(model), after, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(logits(model), before, rtol=0, atol=0)
    assert not torch.equal(moved, before)  # else the test would say nothing


def test_the_neutral_value_is_the_mean_over_the_rows() -> None:
    model = ranker(replace(BASE, interest="none"))
    (part,) = parts_of(model)["likes_level of the row"]
    with recording([part]) as means:
        logits(model)
    embedding = model.row.tables()[0]
    torch.testing.assert_close(means[part].float(), embedding[ROWS[2][:, 0]].mean(0))


def test_a_ranker_without_content_and_features_has_no_such_inputs() -> None:
    bare: ModelConfig = replace(BASE, content=(), row_features=False)
    assert list(parts_of(ranker(bare))) == ["item_tags"]
