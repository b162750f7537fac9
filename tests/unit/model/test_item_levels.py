"""An item's own levels reach the logit where `model.item_levels` says, and nowhere else."""

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor

from model.config import Interest, ModelConfig, Place, code_columns
from model.items import distinct_items
from model.ranker import Ranker
from tests.unit.model.builders import BASE, VOCABULARY, histories, ranker, targets

ITEM, OTHER = 7, 8
Score = Callable[[Ranker, Tensor, Tensor], Tensor]


def plainly(model: Ranker, history_BL: Tensor, item_B: Tensor) -> Tensor:
    logits_B: Tensor = model(history_BL, item_B, *targets(len(item_B))[1:])
    return logits_B


def of_distinct_items(model: Ranker, history_BL: Tensor, item_B: Tensor) -> Tensor:
    ids_U, history_positions, item_positions = distinct_items(history_BL, item_B)
    return model.score_encoded(model.encode(ids_U), history_positions, item_positions, *targets(len(item_B))[1:])


def in_groups(model: Ranker, history_BL: Tensor, item_B: Tensor) -> Tensor:
    ids_U, history_positions, item_positions = distinct_items(history_BL, item_B)
    groups = [history_positions[:2, -3:], history_positions[2:]]
    return model.score_groups(model.encode(ids_U), groups, item_positions, *targets(len(item_B))[1:])


def exported(model: Ranker, history_BL: Tensor, item_B: Tensor) -> Tensor:
    program = torch.export.export(model, (history_BL, item_B, *targets(len(item_B))[1:]))
    logits_B: Tensor = program.module()(history_BL, item_B, *targets(len(item_B))[1:])
    return logits_B


def raise_level(model: Ranker, level: str, item: int) -> None:
    levels_N = model.table.codes_NX[:, code_columns(VOCABULARY.item)[level].start]
    levels_N[item] = levels_N[item] % 10 + 1


def changed(config: ModelConfig, score: Score, row: int, level: str) -> bool:
    """Whether another level of ITEM moves the logit of `row`: 0 has it in the history, 1 as target, 2 nowhere."""
    model, history_BL = ranker(config), histories([3, 3, 6], 6)
    history_BL[history_BL == ITEM] = OTHER
    history_BL[0, -2] = ITEM
    item_B = torch.tensor([OTHER, ITEM, OTHER])
    before = score(model, history_BL, item_B)[row].clone()
    raise_level(model, level, ITEM)
    return bool(score(model, history_BL, item_B)[row] != before)


@pytest.mark.parametrize("level", ["likes_level", "views_level"])
@pytest.mark.parametrize("interest", ["transformer", "din", "recency"])
@pytest.mark.parametrize("score", [plainly, of_distinct_items, in_groups])
@pytest.mark.parametrize("item_levels", get_args(Place))
def test_a_level_changes_the_logit_exactly_where_it_is_asked_for(
    item_levels: Place, score: Score, interest: Interest, level: str
) -> None:
    config = replace(BASE, item_levels=item_levels, interest=interest)
    assert changed(config, score, 0, level) is (item_levels in ("history", "both"))
    assert changed(config, score, 1, level) is (item_levels in ("target", "both"))
    assert not changed(config, score, 2, level)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own tracing of its pytrees
@pytest.mark.parametrize("item_levels", ["history", "target"])
def test_an_exported_program_reads_the_same_levels(item_levels: Place) -> None:
    config = replace(BASE, item_levels=item_levels, history_length=8)
    assert changed(config, exported, 0, "views_level") is (item_levels == "history")
    assert changed(config, exported, 1, "views_level") is (item_levels == "target")


@pytest.mark.parametrize("item_levels", ["history", "target", "both"])
def test_attention_is_that_of_the_items_as_they_are_scored(item_levels: Place) -> None:
    model, history_BL = ranker(replace(BASE, item_levels=item_levels)), histories([6], 6)
    history_BL[history_BL == ITEM] = OTHER
    moved = []
    for history in (history_BL[0, -1], None):
        before = model.attention(history_BL, torch.tensor([ITEM]))[0]
        item = ITEM if history is None else int(history)
        raise_level(model, "views_level", item)
        moved.append(not torch.equal(model.attention(history_BL, torch.tensor([ITEM]))[0], before))
    assert moved == [item_levels != "target", item_levels != "history"]


@pytest.mark.parametrize("item_levels", ["history", "target"])
def test_levels_on_one_side_equal_levels_on_both_with_the_other_at_zero(item_levels: Place) -> None:
    model = ranker(replace(BASE, item_levels=item_levels))
    items_UD = model.encode(torch.arange(1, 9)).items_UD
    bare, whole = model.item_encoder.as_target, model.item_encoder.as_history
    if item_levels == "target":
        bare, whole = whole, bare
    assert torch.equal(whole(items_UD), items_UD)
    levels_D = torch.zeros(items_UD.shape[1], dtype=torch.bool)
    levels_D[2 * BASE.embedding_dim : 4 * BASE.embedding_dim] = True
    assert torch.equal(bare(items_UD), items_UD.masked_fill(levels_D, 0.0))
    assert (items_UD[:, levels_D] != 0).all()
