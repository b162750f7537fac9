import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from model.quantise import ResidualQuantiser, kmeans, nearest


def clusters(seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(6, 1, 5)) * 5 + rng.normal(size=(6, 50, 5)) * 0.3).reshape(300, 5)


def test_one_level_is_scikit_learns_kmeans() -> None:
    points_NC = clusters()
    quantiser = ResidualQuantiser.fit(points_NC, levels=1, codebook_size=6)
    reference = KMeans(6, n_init=10, random_state=0).fit(points_NC.numpy())
    assert quantiser.report(points_NC).error[0] == pytest.approx(
        reference.inertia_ / ((points_NC - points_NC.mean(0)) ** 2).sum().item(), rel=1e-6
    )
    pairs = set(zip(quantiser.encode(points_NC)[:, 0].tolist(), reference.labels_.tolist(), strict=True))
    assert len(pairs) == 6  # the same parts under other names


def test_started_from_the_same_centres_lloyds_iterations_agree() -> None:
    points_NC = torch.from_numpy(np.random.default_rng(3).normal(size=(200, 4)))
    ours = kmeans(points_NC, 8, torch.Generator().manual_seed(0), iterations=200)
    reference = KMeans(8, init=ours.numpy(), n_init=1, tol=0).fit(points_NC.numpy())
    np.testing.assert_allclose(reference.cluster_centers_, ours.numpy(), atol=1e-6)  # a fixed point of both


def test_each_level_quantises_what_is_left_and_decode_adds_up() -> None:
    points_NC = torch.from_numpy(np.random.default_rng(1).normal(size=(300, 6)))
    quantiser = ResidualQuantiser.fit(points_NC, levels=3, codebook_size=8)
    codes_NQ = quantiser.encode(points_NC)
    residual = points_NC.clone()
    for level, book in enumerate(quantiser.codebooks):
        distance = ((residual[:, None] - book[None]) ** 2).sum(2)
        assert torch.equal(codes_NQ[:, level], distance.argmin(1))
        residual = residual - book[codes_NQ[:, level]]
    torch.testing.assert_close(quantiser.decode(codes_NQ), points_NC - residual)
    report = quantiser.report(points_NC)
    assert list(report.error) == sorted(report.error, reverse=True)
    assert report.error[-1] == pytest.approx(float((residual**2).sum() / ((points_NC - points_NC.mean(0)) ** 2).sum()))


def test_no_code_is_wasted_where_there_are_points_enough() -> None:
    report = ResidualQuantiser.fit(clusters(), levels=2, codebook_size=16).report(clusters())
    assert report.utilisation == (1.0, 1.0)
    assert report.fitted == 300


def test_one_seed_gives_one_quantiser() -> None:
    first, second = (ResidualQuantiser.fit(clusters(), 2, 8, seed=5) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.codebooks, second.codebooks, strict=True))


@pytest.mark.parametrize("points", [torch.zeros(9, 3), torch.ones(2, 3)], ids=["all alike", "fewer than codes"])
def test_degenerate_points_are_no_error(points: torch.Tensor) -> None:
    quantiser = ResidualQuantiser.fit(points, levels=2, codebook_size=4)
    torch.testing.assert_close(quantiser.decode(quantiser.encode(points)), points.double())


def test_nothing_to_fit_on_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs items to be fitted on"):
        ResidualQuantiser.fit(torch.zeros(0, 3), levels=1, codebook_size=2)


def test_blocks_change_nothing() -> None:
    points, centres = torch.randn(50, 4), torch.randn(7, 4)
    assert torch.equal(nearest(points, centres, block=3), nearest(points, centres))
