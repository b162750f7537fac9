from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from model.config import CodeKind
from model.quantise import Quantiser, kmeans, nearest
from tests.unit.model.builders import BASE, ranker

both_kinds = pytest.mark.parametrize("kind", get_args(CodeKind))


def clusters(seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(6, 1, 5)) * 5 + rng.normal(size=(6, 50, 5)) * 0.3).reshape(300, 5)


def noise(points: int = 300, width: int = 6, seed: int = 1) -> Tensor:
    """Off the origin, so that a quantiser must see to the mean."""
    return torch.from_numpy(2.0 + np.random.default_rng(seed).normal(size=(points, width)))


def partition(codes_N: Tensor, labels_N: np.ndarray) -> bool:
    """Whether two codings part the points alike, under whatever names."""
    pairs = set(zip(codes_N.tolist(), labels_N.tolist(), strict=True))
    return len(pairs) == len({code for code, _ in pairs}) == len({label for _, label in pairs})


@both_kinds
def test_one_level_is_scikit_learns_kmeans(kind: CodeKind) -> None:
    points_NC = clusters()
    quantiser = Quantiser.fit(points_NC, kind, levels=1, codebook_size=6)
    reference = KMeans(6, n_init=10, random_state=0).fit(points_NC.numpy())
    assert quantiser.report(points_NC).error[0] == pytest.approx(
        reference.inertia_ / ((points_NC - points_NC.mean(0)) ** 2).sum().item(), rel=1e-6
    )
    assert partition(quantiser.encode(points_NC)[:, 0], reference.labels_)


def test_started_from_the_same_centres_lloyds_iterations_agree() -> None:
    points_NC = torch.from_numpy(np.random.default_rng(3).normal(size=(200, 4)))
    ours = kmeans(points_NC, 8, torch.Generator().manual_seed(0), iterations=200)
    reference = KMeans(8, init=ours.numpy(), n_init=1, tol=0).fit(points_NC.numpy())
    np.testing.assert_allclose(reference.cluster_centers_, ours.numpy(), atol=1e-6)  # a fixed point of both


def test_each_residual_level_quantises_what_is_left_and_decode_adds_up() -> None:
    points_NC = noise()
    quantiser = Quantiser.fit(points_NC, "residual", levels=3, codebook_size=8)
    codes_NQ = quantiser.encode(points_NC)
    residual = points_NC - points_NC.mean(0)
    for level, book in enumerate(quantiser.codebooks):
        distance = ((residual[:, None] - book[None]) ** 2).sum(2)
        assert torch.equal(codes_NQ[:, level], distance.argmin(1))
        residual = residual - book[codes_NQ[:, level]]
    torch.testing.assert_close(quantiser.decode(codes_NQ), points_NC - residual)


def test_each_product_level_is_the_nearest_centre_of_its_own_columns() -> None:
    points_NC = noise(width=7)
    quantiser = Quantiser.fit(points_NC, "product", levels=3, codebook_size=8)
    codes_NQ, decoded_NC = quantiser.encode(points_NC), quantiser.decode(quantiser.encode(points_NC))
    for level, columns in enumerate([[0, 3, 6], [1, 4], [2, 5]]):
        part, mean = points_NC[:, columns], points_NC[:, columns].mean(0)
        distance = ((part[:, None] - (mean + quantiser.codebooks[level])[None]) ** 2).sum(2)
        assert torch.equal(codes_NQ[:, level], distance.argmin(1))
        alone = KMeans(8, init=quantiser.codebooks[level].numpy(), n_init=1, max_iter=1, tol=0)
        np.testing.assert_allclose(alone.fit((part - mean).numpy()).inertia_, distance.amin(1).sum(), rtol=1e-2)
        torch.testing.assert_close(decoded_NC[:, columns], mean + quantiser.codebooks[level][codes_NQ[:, level]])


@both_kinds
def test_the_report_is_of_what_decode_leaves_out(kind: CodeKind) -> None:
    points_NC = noise()
    quantiser = Quantiser.fit(points_NC, kind, levels=3, codebook_size=8)
    report, codes_NQ = quantiser.report(points_NC), quantiser.encode(points_NC)
    left = (points_NC - quantiser.decode(codes_NQ)) ** 2
    assert report.error[-1] == pytest.approx(float(left.sum() / ((points_NC - points_NC.mean(0)) ** 2).sum()))
    assert list(report.error) == sorted(report.error, reverse=True)
    assert report.error[0] < 1
    assert report.distinct == len({tuple(codes) for codes in codes_NQ.tolist()})
    assert report.utilisation == tuple(len(set(codes_NQ[:, level].tolist())) / 8 for level in range(3))


@both_kinds
def test_levels_and_codes_each_lessen_the_error(kind: CodeKind) -> None:
    points_NC = noise(400, 8)
    by_levels = [Quantiser.fit(points_NC, kind, levels, 8).report(points_NC).error[-1] for levels in (1, 2, 4, 8)]
    by_codes = [Quantiser.fit(points_NC, kind, 2, size).report(points_NC).error[-1] for size in (1, 4, 16, 64)]
    for errors in (by_levels, by_codes):
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] < errors[0] / 2
    assert by_codes[0] == pytest.approx(1.0)  # one code says no more than the mean


def test_product_codes_name_the_clusters_of_each_part() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 4, (300, 2))
    points = rng.normal(size=(300, 6)) * 0.1
    for part in range(2):
        points[:, part::2] += (rng.normal(size=(4, 3)) * 5)[labels[:, part]]
    quantiser = Quantiser.fit(torch.from_numpy(points), "product", levels=2, codebook_size=4)
    codes_NQ, report = quantiser.encode(torch.from_numpy(points)), quantiser.report(torch.from_numpy(points))
    assert all(partition(codes_NQ[:, part], labels[:, part]) for part in range(2))
    assert report.distinct == 16  # each level knows its own part alone, together they know every pair
    assert report.error[-1] < 0.01


def test_interleaved_columns_share_the_variance_of_a_pca() -> None:
    points_NC = noise(500, 8) * 0.5 ** torch.arange(8)
    quantiser = Quantiser.fit(points_NC, "product", levels=2, codebook_size=16)
    shares = [float(points_NC[:, own].var(0).sum()) for own in quantiser.columns]
    assert shares[0] < 5 * shares[1]  # columns 0..3 against 4..7 would be 256 to 1


@both_kinds
def test_no_code_is_wasted_where_there_are_points_enough(kind: CodeKind) -> None:
    report = Quantiser.fit(clusters(), kind, levels=2, codebook_size=16).report(clusters())
    assert report.utilisation == (1.0, 1.0)
    assert report.fitted == 300


@both_kinds
def test_one_seed_gives_one_quantiser(kind: CodeKind) -> None:
    first, second = (Quantiser.fit(clusters(), kind, 2, 8, seed=5) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.codebooks, second.codebooks, strict=True))


@both_kinds
@pytest.mark.parametrize("points", [torch.zeros(9, 3), torch.ones(2, 3)], ids=["all alike", "fewer than codes"])
def test_degenerate_points_are_no_error(points: Tensor, kind: CodeKind) -> None:
    quantiser = Quantiser.fit(points, kind, levels=2, codebook_size=4)
    torch.testing.assert_close(quantiser.decode(quantiser.encode(points)), points.double())


@both_kinds
def test_fewer_points_than_codes_are_told_exactly(kind: CodeKind) -> None:
    points = noise(5, 6)
    quantiser = Quantiser.fit(points, kind, levels=2, codebook_size=8)
    torch.testing.assert_close(quantiser.decode(quantiser.encode(points)), points)
    assert quantiser.report(points).distinct == 5


@both_kinds
def test_fitting_changes_no_point(kind: CodeKind) -> None:
    points_NC = noise()
    before_NC = points_NC.clone()
    quantiser = Quantiser.fit(points_NC, kind, 2, 4)
    quantiser.report(points_NC)
    assert torch.equal(points_NC, before_NC)


@both_kinds
def test_without_points_to_fit_on_there_is_an_error(kind: CodeKind) -> None:
    with pytest.raises(ValueError, match="needs items to be fitted on"):
        Quantiser.fit(torch.zeros(0, 3), kind, levels=1, codebook_size=2)


def test_a_product_has_no_more_levels_than_columns() -> None:
    with pytest.raises(ValueError, match=r"model\.code_levels = 9: .* the content's 8 columns, .* at most 8"):
        ranker(replace(BASE, content=("codes",), code_kind="product", code_levels=9))
    ranker(replace(BASE, content=("codes",), code_kind="product", code_levels=8))
    ranker(replace(BASE, content=("codes",), code_levels=9))


def test_a_ranker_reads_the_codes_of_its_kind() -> None:
    model = ranker(replace(BASE, content=("codes",), code_kind="product"))
    content_NC = model.table.content_NC[1:]
    expected_NQ = Quantiser.fit(content_NC, "product", BASE.code_levels, BASE.codebook_size).encode(content_NC)
    assert torch.equal(
        model.item_encoder.codes.codes_NQ[1:], expected_NQ + 1 + torch.arange(BASE.code_levels) * BASE.codebook_size
    )


def test_blocks_change_nothing() -> None:
    points, centres = torch.randn(50, 4), torch.randn(7, 4)
    assert torch.equal(nearest(points, centres, block=3), nearest(points, centres))
