"""Each way of comparing a history with the target, against loops over rows and items."""

from dataclasses import replace

import numpy as np
import torch

from model.similarity import LearnedMetric, MetricMatch, SimilarityHistogram, block_products
from tests.unit.model.builders import BASE, histories, ranker, targets

CONFIG = replace(BASE, content=("concat", "metric"), metric_heads=3, metric_dim=2, history_length=7)


def test_a_similarity_histogram_counts_items_by_cosine() -> None:
    block = SimilarityHistogram(5)  # centres -1, -0.5, 0, 0.5, 1
    target_BC = torch.tensor([[1.0, 0.0]])
    cosines = torch.tensor([1.0, 0.5, -0.25, 0.0, -1.0])
    history_BLC = torch.stack([cosines, (1 - cosines**2).sqrt()], dim=1)[None]
    real_BL = torch.tensor([[True, True, True, True, False]])
    weight_BK = torch.expm1(block(history_BLC, target_BC, real_BL))
    torch.testing.assert_close(weight_BK, torch.tensor([[0.0, 0.5, 1.5, 1.0, 1.0]]), atol=1e-6, rtol=1e-5)


def test_a_learned_metric_has_unit_length_in_each_head() -> None:
    torch.manual_seed(1)
    metric = LearnedMetric(CONFIG, 8)
    content_UC = torch.randn(5, 8)
    with torch.no_grad():
        found_UW = metric(content_UC)
    weight_WC = metric.project.weight.detach().numpy()
    for item in range(5):
        for head in range(3):
            mapped = weight_WC[2 * head : 2 * head + 2] @ content_UC[item].numpy()
            expected = mapped / np.sqrt((mapped**2).sum())
            np.testing.assert_allclose(found_UW[item, 2 * head : 2 * head + 2], expected, rtol=1e-5)


def test_a_match_is_the_mean_by_age_and_the_largest_cosine_of_each_metric() -> None:
    rng = np.random.default_rng(2)
    history_BLHM, target_BHM = rng.normal(size=(3, 5, 3, 2)), rng.normal(size=(3, 3, 2))
    history_BLHM /= np.linalg.norm(history_BLHM, axis=-1, keepdims=True)
    target_BHM /= np.linalg.norm(target_BHM, axis=-1, keepdims=True)
    real_BL = np.array([[True] * 5, [False, False, False, True, True], [False] * 5])
    match = MetricMatch(CONFIG)
    with torch.no_grad():
        match.log_weight_HL.add_(torch.from_numpy(rng.normal(size=(3, 7))).float())
        found_BX = match(
            torch.from_numpy(history_BLHM).float().flatten(2),
            torch.from_numpy(target_BHM).float().flatten(1),
            torch.from_numpy(real_BL),
        )
    weight_HL = match.log_weight_HL.detach().exp()
    for row, head in np.ndindex(3, 3):
        weights, cosines = [], []
        for place in range(5):
            if real_BL[row, place]:
                weights.append(float(weight_HL[head, 4 - place]))
                cosines.append(float(history_BLHM[row, place, head] @ target_BHM[row, head]))
        mean = np.average(cosines, weights=weights) if cosines else 0.0
        np.testing.assert_allclose(found_BX[row, head], mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found_BX[row, 3 + head], max([0.0, *cosines]), rtol=1e-4, atol=1e-6)


def test_an_empty_history_matches_nothing_whatever_its_width() -> None:
    match = MetricMatch(CONFIG)
    for width in (0, 4):
        real_BL = torch.zeros(2, width, dtype=torch.bool)
        assert (match(torch.ones(2, width, 6), torch.ones(2, 6), real_BL) == 0).all()


def test_products_are_inner_products_by_sum_and_block() -> None:
    torch.manual_seed(3)
    pooled_BX, target_BD = torch.randn(2, 2 * 5), torch.randn(2, 5)
    found_BK = block_products(pooled_BX, target_BD, [2, 3])
    for row in range(2):
        expected = [
            float(pooled_BX[row, 5 * head + first : 5 * head + last] @ target_BD[row, first:last])
            for head in range(2)
            for first, last in ((0, 2), (2, 5))
        ]
        np.testing.assert_allclose(found_BK[row], expected, rtol=1e-5)


def test_the_blocks_of_an_item_cover_its_vector_in_order() -> None:
    encoder = ranker(replace(BASE, item_levels="both", content=("concat", "codes"))).item_encoder
    size = BASE.embedding_dim
    assert encoder.blocks == [size, size, size, size, BASE.content_dim, size]  # id, tags, likes, views, content, codes
    assert encoder.width == sum(encoder.blocks)


def test_an_item_that_no_row_trained_is_compared_by_its_content() -> None:
    """Two targets that differ in nothing but content, beside a history like one of them, get different scores."""
    model = ranker(replace(CONFIG, content=("metric",)))
    with torch.no_grad():
        for weight in (model.item_encoder.id.weight, *model.item_encoder.features.tables()):
            weight.zero_()
    history_BL = histories([3, 3], 7)
    history_BL[1] = history_BL[0]
    _, codes_BX, numbers_BX = targets(2)
    item_B = torch.tensor([1, 2])
    with torch.no_grad():
        one, other = model(history_BL, item_B, codes_BX[:1].expand(2, -1), numbers_BX)
        model.table.content_NC[2] = model.table.content_NC[1]
        same = model(history_BL, item_B, codes_BX[:1].expand(2, -1), numbers_BX)
    assert abs(one - other) > 1e-3
    torch.testing.assert_close(same[0], same[1])
