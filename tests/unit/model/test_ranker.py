import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from components.statistics.auc import auc
from model import losses
from model.config import ModelConfig, Vocabulary
from model.items import ItemTable, distinct_items
from model.older_files import challenge_vocabulary
from model.presets import PRESETS, paper
from model.ranker import Ranker
from tests.unit.model.builders import (
    BASE,
    VARIANTS,
    VOCABULARY,
    histories,
    item_table,
    ranker,
    targets,
)

CHALLENGE = challenge_vocabulary(items=91_718, tags=11_740, levels=11, content=128, tag_width=5)
all_variants = pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS.keys())


def parameters_at_the_challenge(config: ModelConfig) -> int:
    with torch.device("meta"):  # a gigabyte of weights, counted without being made
        model = Ranker(config, CHALLENGE, ItemTable.blank(CHALLENGE))
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_paper_has_the_parameters_of_the_reference() -> None:
    assert parameters_at_the_challenge(paper()) == 267_898_881


def test_the_cross_network_holds_what_facts_say_of_it() -> None:
    without = parameters_at_the_challenge(replace(paper(), cross="none"))
    cross, head_inputs = 3 * (9088**2 + 9088), 9088 * 64
    assert 267_898_881 - without == cross + head_inputs


@pytest.mark.parametrize("size", ["challenge", "small"])
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_at_every_size(name: str, size: str) -> None:
    assert parameters_at_the_challenge(PRESETS[name](size)) > 0  # type: ignore[arg-type]


def test_an_unknown_size_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="size = 'huge': must be one of 'challenge', 'small'"):
        paper("huge")  # type: ignore[arg-type]


@all_variants
def test_distinct_items_encoded_once_give_the_same_logits(config: ModelConfig) -> None:
    model, history_BL = ranker(config), histories([0, 1, 5, 20], 20)
    rows = targets(4)
    ids_U, history_positions, item_positions = distinct_items(history_BL, rows[0])
    shared_B = model.score_encoded(model.encode(ids_U), history_positions, item_positions, *rows[1:])
    torch.testing.assert_close(shared_B, model(history_BL, *rows), atol=1e-6, rtol=1e-5)


def test_the_padding_comes_first_among_distinct_items_even_where_there_is_none() -> None:
    history_BL, item_B = torch.tensor([[3, 5], [5, 9]]), torch.tensor([9, 2])
    ids_U, history_positions, item_positions = distinct_items(history_BL, item_B)
    assert ids_U.tolist() == [0, 2, 3, 5, 9]
    assert torch.equal(ids_U[history_positions], history_BL)
    assert torch.equal(ids_U[item_positions], item_B)


@all_variants
def test_every_parameter_gets_a_gradient(config: ModelConfig) -> None:
    model = ranker(config).train()
    history_BL = histories([40] * 64, 40)
    ids_U = torch.arange(VOCABULARY.items)
    guidance = sum(model.auxiliary_losses(ids_U).values(), start=torch.zeros(()))
    torch.autograd.backward(model(history_BL, *targets(64)).square().sum() + guidance)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("name", ["paper", "din", "relu", "every-use", "low-rank"])
def test_it_overfits_64_rows(name: str) -> None:
    config = replace(VARIANTS[name], embedding_std=0.05, transformer_dropout=0.0, deep_dropout=0.0)
    model, (history_BL, rows) = ranker(config), (histories([6] * 64, 6), targets(64))
    label_B = torch.from_numpy(np.random.default_rng(0).integers(0, 2, 64))
    optimizer = torch.optim.Adam(model.train().parameters(), lr=1e-2)
    reached = 0.0
    for step in range(1, 601):
        optimizer.zero_grad()
        logits_B = model(history_BL, *rows)
        torch.autograd.backward(losses.bce(logits_B, label_B))
        optimizer.step()
        if step % 25 == 0 and (reached := auc(label_B.numpy(), logits_B.detach().numpy())) == 1.0:
            break
    assert reached == 1.0


def trained(seed: int) -> dict[str, Tensor]:
    model = ranker(VARIANTS["every-use"], seed=seed).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    label_B = torch.arange(16) % 2
    for _ in range(5):
        optimizer.zero_grad()
        torch.autograd.backward(losses.bce(model(histories([6] * 16, 6), *targets(16)), label_B))
        optimizer.step()
    return model.state_dict()


def test_two_runs_of_one_seed_are_bit_identical_and_other_seeds_differ() -> None:
    first, second, other = trained(1), trained(1), trained(2)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@all_variants
def test_a_rows_logit_does_not_depend_on_its_batch(config: ModelConfig) -> None:
    model, history_BL = ranker(config), histories([0, 2, 9, 30, 5], 30)
    rows = targets(5)
    together_B = model(history_BL, *rows)
    alone_B = torch.cat([model(history_BL[b : b + 1], *(column[b : b + 1] for column in rows)) for b in range(5)])
    torch.testing.assert_close(alone_B, together_B, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "name", ["paper", "positions", "din", "transformer-and-relu", "products", "every-use", "short"]
)
def test_it_exports_with_any_number_of_rows_and_any_length(name: str) -> None:
    model = ranker(VARIANTS[name])
    rows, length = torch.export.Dim("rows", min=1), torch.export.Dim("length", min=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # torch's own tracing of its pytrees
        program = torch.export.export(
            model,
            (histories([3, 5], 9), *targets(2)),
            dynamic_shapes=({0: rows, 1: length}, {0: rows}, {0: rows}, {0: rows}),
        )
    for number, width in [(1, 1), (3, 9), (5, 130)]:
        inputs = (histories([min(b * 2, width) for b in range(number)], width), *targets(number))
        torch.testing.assert_close(program.module()(*inputs), model(*inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["paper", "two-heads", "positions", "din", "relu", "mean", "transformer-and-din"])
def test_attention_can_be_had_without_changing_the_numbers(name: str) -> None:
    model, history_BL = ranker(VARIANTS[name]), histories([0, 2, 9], 9)
    rows = targets(3)
    before_B, state = model(history_BL, *rows), {k: v.clone() for k, v in model.state_dict().items()}
    weights = model.attention(history_BL, rows[0])
    assert torch.equal(model(history_BL, *rows), before_B)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    for weight in weights:
        masked = (history_BL == 0).view(3, *[1] * (weight.dim() - 2), 9)
        assert (weight * masked)[1:].abs().sum() == 0
        if weight.dim() == 4:
            torch.testing.assert_close(weight.sum(-1), torch.ones_like(weight.sum(-1)))


def test_a_blind_ranker_has_no_attention_and_reads_no_history() -> None:
    model = ranker(replace(BASE, interest="none"))
    rows = targets(4)
    assert torch.equal(model(histories([3] * 4, 9, 1), *rows), model(histories([9] * 4, 9, 2), *rows))
    assert model.attention(histories([3] * 4, 9), rows[0]) == []


def test_content_off_reads_no_content() -> None:
    model, inputs = ranker(VARIANTS["no-content"]), (histories([5, 9], 9), *targets(2))
    before_B = model(*inputs)
    model.table.content_NC.mul_(-3.0)
    assert torch.equal(model(*inputs), before_B)


def with_codes(name: str, codes: int) -> Vocabulary:
    item = tuple(replace(feature, codes=codes) if feature.name == name else feature for feature in VOCABULARY.item)
    return replace(VOCABULARY, item=item)


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (replace(VOCABULARY, items=39), "vocabulary.items = 39: the item table has 40 rows"),
        (replace(VOCABULARY, content=9), "vocabulary.content = 9: the item table's content has 8 columns"),
        (with_codes("item_tags", 4), "item feature 'item_tags' has codes up to 3: the item table holds"),
        (with_codes("likes_level", 5), "item feature 'likes_level' has codes up to 4: the item table holds"),
        (replace(VOCABULARY, item=VOCABULARY.item[:1]), "codes_NX has 5 columns, the features need 3"),
    ],
    ids=["items", "content", "tags", "levels", "columns"],
)
def test_a_table_that_does_not_fit_the_vocabulary_is_refused(vocabulary: Vocabulary, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ranker(BASE, vocabulary, item_table())


def test_content_without_content_is_refused() -> None:
    vocabulary = replace(VOCABULARY, content=0)
    with pytest.raises(ValueError, match="the items have no content"):
        Ranker(BASE, vocabulary, item_table(vocabulary))
    Ranker(replace(BASE, content=()), vocabulary, item_table(vocabulary))


def test_heads_must_divide_the_transformer() -> None:
    with pytest.raises(ValueError, match=r"model\.heads = 3: must divide the transformer's width 32"):
        ranker(replace(BASE, heads=3))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("codes", 1, "row 0 is the padding item"),
        ("content", 1.0, "row 0 is the padding item"),
        ("numbers", 2, "row 0 is the padding item"),
    ],
)
def test_a_padding_row_that_is_not_zero_is_refused(column: str, value: float, message: str) -> None:
    arrays = {"codes": np.zeros((3, 2)), "content": np.zeros((3, 4)), "numbers": np.zeros((3, 1))}
    arrays[column][0] = value
    with pytest.raises(ValueError, match=message):
        ItemTable.from_arrays(**arrays)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_content_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="NaN or infinity"):
        ItemTable.from_arrays(np.zeros((2, 1)), np.array([[0.0], [value]]))


def test_an_array_of_the_right_type_is_not_copied_and_a_read_only_one_is() -> None:
    codes, content, numbers = np.zeros((3, 2), np.int64), np.zeros((3, 4), np.float32), np.zeros((3, 1), np.float32)
    numbers.flags.writeable = False
    table = ItemTable.from_arrays(codes, content, numbers)
    assert table.content_NC.data_ptr() == content.ctypes.data
    assert table.codes_NX.data_ptr() == codes.ctypes.data
    assert table.numbers_NX.data_ptr() != numbers.ctypes.data
