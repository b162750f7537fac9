"""A ranker with more items, and with ids hidden in training as new items have none."""

from dataclasses import replace

import pytest
import torch

from model.growth import with_items
from model.items import ItemTable
from model.untrained import untrained_ids
from tests.unit.model.builders import BASE, VARIANTS, VOCABULARY, item_table, ranker

NEW = torch.tensor([VOCABULARY.items, VOCABULARY.items + 2])  # the id between them is used by no item


def _rows(ids: int) -> ItemTable:
    table = item_table(seed=5)
    columns = (column[1 : ids + 1] for column in (table.codes_NX, table.numbers_NX, table.content_NC, table.seen_N))
    return ItemTable(*columns)


@pytest.mark.parametrize("name", ["paper", "products", "item-levels", "no-content"])
def test_new_items_leave_all_others_as_they_are_and_are_scored(name: str) -> None:
    model = ranker(VARIANTS[name]).eval()
    grown = with_items(model, NEW, _rows(2))
    history_BL, item_B = torch.randint(VOCABULARY.items, (5, 4)), torch.arange(1, 6)
    row = torch.ones(5, 2, dtype=torch.int64), torch.zeros(5, 0)
    assert torch.equal(grown(history_BL, item_B, *row), model(history_BL, item_B, *row))
    scores = grown(history_BL, NEW[[0, 1, 0, 1, 0]], *row)
    assert scores.isfinite().all()
    assert not torch.equal(scores, grown(history_BL, torch.zeros(5, dtype=torch.int64), *row))


def test_a_new_item_gets_the_id_that_its_content_says_and_a_changed_one_keeps_its_own() -> None:
    model, rows = ranker(BASE), _rows(2)
    weight, table = model.item_encoder.id.weight, model.table
    wanted = untrained_ids(weight[table.seen_N], table.content_NC[table.seen_N], rows.content_NC)
    assert torch.equal(with_items(model, NEW, rows).item_encoder.id.weight[NEW], wanted)
    changed = with_items(model, torch.tensor([3, 4]), rows)
    assert torch.equal(changed.item_encoder.id.weight, weight)
    assert torch.equal(changed.table.content_NC[3:5], rows.content_NC)


def test_codes_of_new_items_are_not_known() -> None:
    with pytest.raises(ValueError, match="'codes': the codes of new items can't be told without a new training"):
        with_items(ranker(VARIANTS["every-use"]), NEW, _rows(2))


def test_id_dropout_hides_whole_ids_in_training_alone() -> None:
    model = ranker(replace(BASE, id_dropout=0.5))
    ids_U, size = torch.arange(VOCABULARY.items), BASE.embedding_dim
    whole = model.eval().encode(ids_U).items_UD
    torch.manual_seed(1)
    drawn = model.train().encode(ids_U).items_UD
    hidden = (drawn[:, :size] == 0).all(1)
    assert 0 < int(hidden[1:].sum()) < VOCABULARY.items - 1
    assert torch.equal(drawn[~hidden], whole[~hidden])
    assert torch.equal(drawn[:, size:], whole[:, size:])
