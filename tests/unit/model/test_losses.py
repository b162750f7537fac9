from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from model import losses
from tests.unit.model.builders import BASE, LEVELS, VARIANTS, ranker


def test_bce_is_torchs_and_takes_whole_number_labels() -> None:
    logits_B, label_B = torch.randn(9), torch.arange(9) % 2
    expected = functional.binary_cross_entropy(torch.sigmoid(logits_B), label_B.float())
    torch.testing.assert_close(losses.bce(logits_B, label_B), expected)


@pytest.mark.parametrize("block", [3, 4, 4096])
def test_pairwise_averages_over_all_pairs_of_a_block(block: int) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=10), rng.integers(0, 2, 10)
    terms = []
    for start in range(0, 10, block):
        chosen = range(start, min(start + block, 10))
        terms += [np.log1p(np.exp(logits[n] - logits[p])) for p in chosen for n in chosen if labels[p] > labels[n]]
    found = losses.pairwise(torch.from_numpy(logits), torch.from_numpy(labels), block)
    assert float(found) == pytest.approx(np.mean(terms))


@pytest.mark.parametrize("label", [0, 1])
def test_pairwise_of_one_class_is_zero_with_a_finite_gradient(label: int) -> None:
    logits_B = torch.randn(4, requires_grad=True)
    loss = losses.pairwise(logits_B, torch.full((4,), label))
    torch.autograd.backward(loss)
    assert float(loss.detach()) == 0.0
    assert logits_B.grad is not None
    assert (logits_B.grad == 0).all()


def test_touched_l2_counts_each_embedding_row_once() -> None:
    model = ranker(replace(VARIANTS["every-use"], item_levels="both"))
    encoder, table, ids_U = model.item_encoder, model.table, torch.tensor([0, 3, 5, 9])
    tables: dict[Any, set[int]] = {
        encoder.id: set(ids_U.tolist()),
        encoder.features[0]: set(table.codes_NX[ids_U, :3].flatten().tolist()),
        encoder.features[1]: set(table.codes_NX[ids_U, 3].tolist()),
        encoder.features[2]: set(table.codes_NX[ids_U, 4].tolist()),
        model.row[0]: set(range(LEVELS)),
        model.row[1]: set(range(LEVELS)),
        encoder.codes.code: set(encoder.codes.codes_NQ[ids_U].flatten().tolist()),
    }
    expected = (
        sum(float(embedding.weight[row].detach().square().sum()) for embedding, used in tables.items() for row in used)
        / 2
    )
    assert float(losses.touched_l2(model, ids_U).detach()) == pytest.approx(expected, rel=1e-5)


def test_touched_l2_leaves_other_items_alone() -> None:
    model = ranker(BASE)
    torch.autograd.backward(losses.touched_l2(model, torch.tensor([2, 4])))
    gradient = model.item_encoder.id.weight.grad
    assert gradient is not None
    assert gradient.abs().sum(1).nonzero().flatten().tolist() == [2, 4]


def test_a_row_of_weight_two_counts_as_two_rows() -> None:
    logits_B, label_B = torch.tensor([0.3, -1.0, 2.0]), torch.tensor([1.0, 0.0, 0.0])
    weight_B, twice = torch.tensor([2.0, 1.0, 1.0]), torch.tensor([0, 0, 1, 2])
    plain = losses.bce(logits_B[twice], label_B[twice])
    torch.testing.assert_close(losses.bce(logits_B, label_B, weight_B * 3 / 4), plain)
    plain = losses.pairwise(logits_B[twice], label_B[twice])
    torch.testing.assert_close(losses.pairwise(logits_B, label_B, weight_B=weight_B), plain)
