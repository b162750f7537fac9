"""No variant reads padding, at any length; the preset `published` repeats the mistake of the released code."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from model.config import ModelConfig
from model.item_encoder import EncodedItems
from model.presets import published
from tests.unit.model.builders import BASE, VARIANTS, VOCABULARY, histories, ranker, targets

READERS = {name: config for name, config in VARIANTS.items() if config.history_length == 100}


def by_name(configs: dict[str, ModelConfig]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("config", configs.values(), ids=configs.keys())


@by_name(VARIANTS)
def test_masked_positions_do_not_change_a_bit(config: ModelConfig) -> None:
    model, history_BL = ranker(config), histories(list(range(101)), 100)
    rows = targets(101)
    expected_B = model(history_BL, *rows)

    items_UD, content_UC = model.encode(torch.arange(VOCABULARY.items))
    anything = EncodedItems(items_UD.clone(), content_UC.clone())
    anything.items_UD[0], anything.content_UC[0] = 1e3 * torch.randn(items_UD.shape[1]), 1.0
    assert torch.equal(model.score_encoded(anything, history_BL, *rows), expected_B)

    with torch.no_grad():  # the same through the weights and the table
        for module in model.item_encoder.modules():
            if isinstance(module, nn.Embedding):
                module.weight[0] = 1e3
        model.table.content_NC[0] = 7.0
        model.table.codes_NX[0, -1] = 3
        changed_B = model(history_BL, *rows)
    assert torch.equal(changed_B, expected_B)


@by_name(VARIANTS)
def test_positions_under_the_mask_may_hold_any_item(config: ModelConfig) -> None:
    model, history_BL = ranker(config), histories(list(range(20)), 19)
    item_B, codes_BX, numbers_BX = targets(20)
    encoded = model.encode(torch.arange(VOCABULARY.items))
    real_BL = history_BL != 0
    other_BL = torch.where(real_BL, history_BL, torch.randint(1, VOCABULARY.items, history_BL.shape))
    length = config.history_length
    expected_B, found_B = (
        model._score(encoded, positions_BL[:, -length:], real_BL[:, -length:], item_B, codes_BX, numbers_BX)
        for positions_BL in (history_BL, other_BL)
    )
    assert torch.equal(found_B, expected_B)


@by_name(READERS)
@pytest.mark.parametrize("longer", [1, 7, 31])
def test_more_padding_on_the_left_changes_nothing(config: ModelConfig, longer: int) -> None:
    # In float64: the order in which a processor sums float32 values changes with the width, by more than 1e-6 on some.
    model, history_BL = ranker(config).double(), histories([0, 1, 3, 4, 5, 40], 40)
    rows = targets(6)
    padded_BL = nn.functional.pad(history_BL, (longer, 0))
    torch.testing.assert_close(model(padded_BL, *rows), model(history_BL, *rows), atol=1e-12, rtol=1e-12)


@by_name(VARIANTS)
def test_replacing_any_real_item_changes_the_logit(config: ModelConfig) -> None:
    model, length = ranker(config), min(12, config.history_length)
    history_BL = histories([length] * (length + 1), 15)
    item_B, codes_BX, numbers_BX = (column[:1].expand(length + 1, *column.shape[1:]) for column in targets(1))
    history_BL[:] = history_BL[0]
    for row in range(length):
        history_BL[row + 1, -1 - row] = history_BL[0, -1 - row] % (VOCABULARY.items - 1) + 1
    logits_B = model(history_BL, item_B, codes_BX, numbers_BX)
    if (
        config.interest == "relu" or config.last_k == 0
    ):  # an item without weight, or without a maximum, may change nothing
        assert (logits_B[1:] != logits_B[0]).any()
    else:
        assert (logits_B[1:] != logits_B[0]).all()


@by_name(VARIANTS)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_empty_histories_are_finite_and_safe_for_gradients(config: ModelConfig, training: bool) -> None:
    model = ranker(config).train(training)
    logits_B = model(histories([0, 0, 5], 9), *targets(3))
    torch.autograd.backward(logits_B[:2].sum())
    assert logits_B.isfinite().all()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


def test_histories_longer_than_the_config_keep_the_newest_items() -> None:
    model, history_BL = ranker(VARIANTS["short"]), histories([30, 7], 30)
    rows = targets(2)
    assert torch.equal(model(history_BL, *rows), model(history_BL[:, -7:], *rows))


@pytest.mark.parametrize("width", [100, 120], ids=["as wide", "wider"])
def test_the_published_mask_is_blind_to_any_history_shorter_than_its_width(width: int) -> None:
    model = ranker(replace(BASE, mask=published().mask))
    rows = targets(100)
    first, second = (histories(list(range(100)), width, seed) for seed in (1, 2))
    assert (first != second).any()
    assert torch.equal(model(first, *rows), model(second, *rows))
    assert not torch.equal(ranker(BASE)(first, *rows), ranker(BASE)(second, *rows))


def test_the_published_mask_sees_the_newest_item_alone_of_a_history_as_long_as_its_width() -> None:
    model, history_BL = ranker(replace(BASE, mask="inverted")), histories([100, 100], 100)
    item_B, codes_BX, numbers_BX = (column[:1].expand(2, *column.shape[1:]) for column in targets(1))
    history_BL[1, -1] = history_BL[0, -1]
    older_B = model(history_BL, item_B, codes_BX, numbers_BX)
    assert older_B[0] == older_B[1]
    history_BL[1, -1] = history_BL[0, -1] % (VOCABULARY.items - 1) + 1
    newest_B = model(history_BL, item_B, codes_BX, numbers_BX)
    assert newest_B[0] != newest_B[1]


def test_the_published_mask_reads_the_padding_so_trimming_it_must_change_nothing() -> None:
    model, history_BL = ranker(replace(BASE, mask="inverted")), histories([0, 3, 9], 100)
    rows = targets(3)
    assert torch.equal(model(history_BL[:, -9:], *rows), model(history_BL, *rows))
