from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from model.config import ContentUse
from model.guidance import contrastive, relational
from model.ranker import Ranker
from tests.unit.model.builders import BASE, VARIANTS, VOCABULARY, ranker

ALL = torch.arange(VOCABULARY.items)


def guided(*uses: ContentUse) -> Ranker:
    """Ids as wide as the content, so that the one can be set to the other."""
    return ranker(replace(BASE, embedding_dim=VOCABULARY.content, content=uses))


def test_only_the_uses_that_content_names_have_a_loss() -> None:
    assert ranker(BASE).auxiliary_losses(ALL) == {}
    assert list(guided("distil").auxiliary_losses(ALL)) == ["distil"]
    assert list(ranker(VARIANTS["every-use"]).auxiliary_losses(ALL)) == ["align", "distil"]


def test_the_alignment_loss_is_least_where_id_and_content_agree() -> None:
    model = guided("align")
    apart = float(model.auxiliary_losses(ALL)["align"].detach())
    with torch.no_grad():
        model.item_encoder.align.weight.copy_(torch.eye(8))
        model.item_encoder.id.weight.copy_(model.table.content_NC)
    assert float(model.auxiliary_losses(ALL)["align"].detach()) < 0.2 < 2.0 < apart


def test_contrastive_by_hand() -> None:
    rng = np.random.default_rng(0)
    ids, content = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    total = 0.0
    for one, other in ((ids, content), (content, ids)):
        for i in range(5):
            alike = [one[i] @ o / np.linalg.norm(one[i]) / np.linalg.norm(o) / 0.3 for o in other]
            total += np.log(np.exp(alike).sum()) - alike[i]
    assert float(contrastive(torch.from_numpy(ids), torch.from_numpy(content), 0.3)) == pytest.approx(total / 10)


def by_hand(ids: np.ndarray, content: np.ndarray, id_temperature: float, content_temperature: float) -> float:
    """The mean over items of KL(content's likeness || id's), each pair on its own."""

    def shares(vectors: np.ndarray, i: int, temperature: float) -> dict[int, float]:
        alike = {
            j: np.exp(vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j]) / temperature)
            for j in range(len(vectors))
            if j != i
        }
        return {j: value / sum(alike.values()) for j, value in alike.items()}

    total = 0.0
    for i in range(len(ids)):
        teacher, student = shares(content, i, content_temperature), shares(ids, i, id_temperature)
        total += sum(teacher[j] * np.log(teacher[j] / student[j]) for j in teacher)
    return total / len(ids)


@pytest.mark.parametrize(("id_temperature", "content_temperature"), [(0.1, 0.1), (0.5, 0.07), (3.0, 1.0)])
def test_relational_by_hand(id_temperature: float, content_temperature: float) -> None:
    rng = np.random.default_rng(1)
    ids, content = rng.normal(size=(9, 4)) * 1e-3, rng.normal(size=(9, 6)) + 0.5
    found = relational(torch.from_numpy(ids), torch.from_numpy(content), id_temperature, content_temperature)
    assert float(found) == pytest.approx(by_hand(ids, content, id_temperature, content_temperature), rel=1e-9)


def test_distillation_is_that_of_the_normalised_content_without_the_padding() -> None:
    config = replace(BASE, content=("distil",), content_norm="standardise", distil_id_temperature=0.3)
    model, ids_U = ranker(config), torch.tensor([0, 3, 9, 20, 5])
    found = float(model.auxiliary_losses(ids_U)["distil"].detach())
    real_S = ids_U[1:]
    content = model.item_encoder.content(real_S, model.table).double().numpy()
    ids = model.item_encoder.id.weight[real_S].detach().double().numpy()
    assert found == pytest.approx(by_hand(ids, content, 0.3, 0.1), rel=1e-4)
    assert float(model.auxiliary_losses(real_S)["distil"].detach()) == pytest.approx(found, rel=1e-5)


def test_no_more_than_a_sample_of_the_items_is_compared() -> None:
    model = guided("distil")
    torch.autograd.backward(model.item_encoder.guidance_losses(ALL, model.table, sample=6)["distil"])
    gradient = model.item_encoder.id.weight.grad
    assert gradient is not None
    assert int((gradient.abs().sum(1) > 0).sum()) == 6


def test_its_gradient_reaches_the_id_embeddings_of_the_items_alone() -> None:
    model = ranker(VARIANTS["every-use"])
    torch.autograd.backward(model.auxiliary_losses(torch.tensor([0, 2, 4, 11]))["distil"])
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert reached == {"item_encoder.id.weight"}
    gradient = model.item_encoder.id.weight.grad
    assert gradient is not None
    assert gradient.abs().sum(1).nonzero().flatten().tolist() == [2, 4, 11]
    content_SC = torch.randn(5, 3, requires_grad=True)
    torch.autograd.backward(relational(torch.randn(5, 2, requires_grad=True), content_SC, 0.1, 0.1))
    assert content_SC.grad is None


def test_it_is_zero_where_ids_lie_to_one_another_as_contents_do() -> None:
    model = guided("distil")
    turn_CC = torch.linalg.qr(torch.randn(8, 8)).Q
    with torch.no_grad():
        model.item_encoder.id.weight.copy_(3.7 * model.table.content_NC @ turn_CC)
    alike = model.auxiliary_losses(ALL)["distil"].detach()
    torch.testing.assert_close(alike, torch.zeros(()), atol=1e-5, rtol=0)
    colder = replace(model.config, distil_id_temperature=0.05)
    model.item_encoder.config = colder
    assert float(model.auxiliary_losses(ALL)["distil"].detach()) > 0.01


def test_one_item_has_no_others_to_be_like() -> None:
    model = guided("distil")
    loss = model.auxiliary_losses(torch.tensor([0, 4]))["distil"]
    torch.autograd.backward(loss)
    assert float(loss.detach()) == 0.0
    assert model.item_encoder.id.weight.grad is not None
    assert model.item_encoder.id.weight.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_finite_at_the_coldest_temperature_and_in_either_precision(dtype: torch.dtype) -> None:
    ids_SE = torch.randn(7, 3).to(dtype).requires_grad_()
    loss = relational(ids_SE, torch.randn(7, 5).to(dtype), 1e-3, 1e-3)
    torch.autograd.backward(loss)
    assert loss.isfinite()
    assert ids_SE.grad is not None
    assert ids_SE.grad.isfinite().all()


def test_training_on_it_brings_neighbours_in_content_together() -> None:
    model = guided("distil")
    optimizer = torch.optim.Adam([model.item_encoder.id.weight], lr=0.05)
    content_NN = cosines(model.table.content_NC[1:])
    nearest_N = (content_NN - 2 * torch.eye(len(content_NN))).argmax(1, keepdim=True)

    def closeness() -> float:
        """How much more alike by id an item is to its nearest by content than to the average item."""
        id_NN = cosines(model.item_encoder.id.weight[1:].detach())
        return float((id_NN.gather(1, nearest_N)[:, 0] - id_NN.mean(1)).mean())

    before = closeness()
    for _ in range(60):
        optimizer.zero_grad()
        torch.autograd.backward(model.auxiliary_losses(ALL)["distil"])
        optimizer.step()
    assert before < 0.2
    assert closeness() > 0.5


def cosines(vectors_NX: Tensor) -> Tensor:
    unit_NX = functional.normalize(vectors_NX, dim=-1)
    return unit_NX @ unit_NX.T
