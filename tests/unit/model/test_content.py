from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from model.config import ContentNorm
from model.content import ContentNormalisation, GatedMap, content_map, principal_start
from model.items import ItemTable
from model.ranker import Ranker
from tests.unit.model.builders import BASE, VOCABULARY, item_table, ranker


@pytest.mark.parametrize("kind", ["raw", "standardise", "l2", "rmsnorm"])
def test_each_normalisation_is_what_its_name_says(kind: ContentNorm) -> None:
    content = np.random.default_rng(0).normal(2, 3, (30, 8)).astype(np.float32)
    norm = ContentNormalisation(kind, 8)
    norm.fit(torch.from_numpy(content), torch.arange(30) < 20)
    expected = {
        "raw": content,
        "standardise": (content - content[:20].mean(0)) / content[:20].std(0),
        "l2": content / np.linalg.norm(content, axis=1, keepdims=True),
        "rmsnorm": content / np.sqrt(np.mean(content**2, axis=1, keepdims=True)),
    }[kind]
    np.testing.assert_allclose(norm(torch.from_numpy(content)).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_constant_column_standardises_to_zero_not_to_infinity() -> None:
    norm = ContentNormalisation("standardise", 2)
    content_UC = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    norm.fit(content_UC, torch.tensor([True, True]))
    assert norm(content_UC)[:, 1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("kind", ["raw", "standardise", "l2", "rmsnorm"])
def test_the_padding_items_content_stays_zero(kind: ContentNorm) -> None:
    encoder = ranker(replace(BASE, content_norm=kind)).item_encoder
    assert (encoder.content(torch.tensor([0, 1]), item_table())[0] == 0).all()


def test_statistics_come_from_items_seen_in_train_alone() -> None:
    tables = []
    for unseen in (0.0, 100.0):
        content = np.arange(16, dtype=float).reshape(8, 2)
        content[0], content[6:] = 0, unseen
        seen = np.array([False, *[True] * 5, False, False])
        tables.append(ItemTable.from_arrays(np.zeros((8, 5)), content, seen=seen))
    config = replace(BASE, content=("init", "codes"), content_norm="standardise", codebook_size=2)
    first, second = (_ranker(config, table) for table in tables)
    assert torch.equal(first.item_encoder.normalise.mean_C, second.item_encoder.normalise.mean_C)
    assert torch.equal(first.item_encoder.id.weight[:6], second.item_encoder.id.weight[:6])
    assert torch.equal(first.item_encoder.codes.codes_NQ[:6], second.item_encoder.codes.codes_NQ[:6])


def _ranker(config: object, table: ItemTable) -> Ranker:
    torch.manual_seed(0)
    return Ranker(config, replace(VOCABULARY, items=8, content=2), table)  # type: ignore[arg-type]


def test_codes_need_items_seen_in_train() -> None:
    table = item_table()
    table.seen_N = torch.zeros_like(table.seen_N)
    with pytest.raises(ValueError, match="marks no item as seen in train"):
        Ranker(replace(BASE, content=("codes",)), VOCABULARY, table)


def test_linear_has_no_bias_and_none_keeps_the_width() -> None:
    linear, width = content_map("linear", 8, replace(BASE, content_dim=5))
    assert isinstance(linear, nn.Linear)
    assert [name for name, _ in linear.named_parameters()] == ["weight"]
    assert width == 5
    nothing, width = content_map("none", 8, replace(BASE, content_dim=5))
    assert width == 8
    assert nothing(torch.ones(1, 8)).tolist() == torch.ones(1, 8).tolist()


def test_the_gated_map_opens_and_shuts_one_half_by_the_other() -> None:
    torch.manual_seed(0)
    block, x = GatedMap(3, 2), torch.randn(5, 3)
    hidden = (x @ block.widen.weight.T + block.widen.bias).detach()
    gated = hidden[:, :4] / (1 + torch.exp(-hidden[:, 4:]))
    torch.testing.assert_close(block(x), gated @ block.narrow.weight.T + block.narrow.bias)


def test_init_starts_id_embeddings_at_the_contents_principal_components() -> None:
    pca = pytest.importorskip("sklearn.decomposition").PCA(4)
    content = np.random.default_rng(0).normal(size=(40, 8)) * np.arange(1, 9)
    found = principal_start(torch.from_numpy(content), torch.ones(40, dtype=torch.bool), 4, std=0.3).numpy()
    expected = pca.fit_transform(content)
    correlation = np.array([abs(np.corrcoef(found[:, c], expected[:, c])[0, 1]) for c in range(4)])
    np.testing.assert_allclose(correlation, 1.0, atol=1e-6)
    assert found.std() == pytest.approx(0.3, rel=0.01)


def test_init_moves_the_id_embeddings_and_nothing_else_reads_content() -> None:
    with_init, without = ranker(replace(BASE, content=("init",))), ranker(replace(BASE, content=()))
    assert not torch.equal(with_init.item_encoder.id.weight, without.item_encoder.id.weight)
    assert (with_init.item_encoder.id.weight[0] == 0).all()
    assert with_init.item_encoder.width == without.item_encoder.width
