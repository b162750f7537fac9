"""The projection against scikit-learn, and what it promises about signs, ranks, memory and reuse."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from components.embed.config import EmbedConfig, Fusion, Standardise
from components.embed.projection import Blocks, fit_projection, load_projection
from components.errors import StepError

CONFIG = EmbedConfig(dimension=6, standardise="none")
WIDTHS = (10, 20)


def vectors(rows: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(rows, 8)) @ random.normal(size=(8, 30)) + 0.1 * random.normal(size=(rows, 30)) + 3.0
    mixed[:, :10] *= 20.0
    return mixed.astype(np.float32)


def in_blocks(rows_NC: np.ndarray, size: int = 7) -> Blocks:
    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, len(rows_NC), size):
            yield rows_NC[start : start + size]

    return blocks


@pytest.mark.parametrize("rows", [400, 20], ids=["more-items-than-widths", "fewer"])
def test_it_is_principal_component_analysis(rows: int) -> None:
    data = vectors(rows)
    made = fit_projection(in_blocks(data), WIDTHS, CONFIG)
    oracle = PCA(6, svd_solver="full").fit(data.astype(np.float64))
    expected, found = oracle.transform(data.astype(np.float64)), made.apply(data)
    gain = np.sqrt(6 / oracle.explained_variance_.sum())
    signs = np.sign((expected * found).sum(0))
    np.testing.assert_allclose(found, expected * signs * gain, atol=2e-4)
    assert made.facts["explained_variance"] == pytest.approx(oracle.explained_variance_ratio_.sum(), abs=1e-9)
    assert np.square(found).mean() == pytest.approx(1.0, rel=1 / rows + 1e-3)


@pytest.mark.parametrize("standardise", ["modality", "feature"])
def test_standardising_keeps_a_modality_with_large_values_from_dominating(standardise: Standardise) -> None:
    data = vectors(300)
    quiet = fit_projection(in_blocks(data), WIDTHS, replace(CONFIG, standardise=standardise))
    louder = data * np.r_[np.full(10, 1000.0), np.ones(20)].astype(np.float32)
    loud = fit_projection(in_blocks(louder), WIDTHS, replace(CONFIG, standardise=standardise))
    np.testing.assert_allclose(np.abs(quiet.apply(data)), np.abs(loud.apply(louder)), atol=2e-3)
    scaled = (data - quiet.mean) * quiet.scale
    totals = [scaled[:, :10].var(0, ddof=1).sum(), scaled[:, 10:].var(0, ddof=1).sum()]
    np.testing.assert_allclose(totals, 1.0, rtol=1e-5)


def test_a_constant_feature_has_no_influence() -> None:
    data = vectors(100)
    data[:, 3] = 7.0
    made = fit_projection(in_blocks(data), WIDTHS, replace(CONFIG, standardise="feature"))
    assert made.scale[3] == 0.0
    assert np.isfinite(made.apply(data)).all()


def test_separate_projections_keep_the_modalities_apart() -> None:
    data = vectors(100)
    made = fit_projection(in_blocks(data), WIDTHS, replace(CONFIG, fusion="separate-pca"))
    other_text = data.copy()
    other_text[:, :10] = vectors(100, seed=9)[:, :10]
    before, after = made.apply(data), made.apply(other_text)
    np.testing.assert_array_equal(before[:, 3:], after[:, 3:])
    assert not np.allclose(before[:, :3], after[:, :3])


def test_without_fusion_every_width_stays() -> None:
    data = vectors(50)
    made = fit_projection(in_blocks(data), WIDTHS, replace(CONFIG, fusion="none"))
    np.testing.assert_allclose(made.apply(data), data - data.mean(0, dtype=np.float64), atol=1e-4)


@pytest.mark.parametrize("fusion", ["pca", "separate-pca", "none"])
def test_the_same_rows_give_the_same_bytes_and_survive_a_file(tmp_path: Path, fusion: Fusion) -> None:
    data, config = vectors(80), replace(CONFIG, fusion=fusion)
    one, two = (fit_projection(in_blocks(data), WIDTHS, config) for _ in range(2))
    assert one.to_bytes() == two.to_bytes()
    one.save(tmp_path / "projection.npz")
    back = load_projection((tmp_path / "projection.npz").read_bytes(), "projection.npz")
    assert back.hash == one.hash
    np.testing.assert_array_equal(back.apply(data), one.apply(data))


@pytest.mark.parametrize("rows", [400, 20])
def test_each_direction_has_its_largest_component_positive(rows: int) -> None:
    matrix = fit_projection(in_blocks(vectors(rows)), WIDTHS, CONFIG).matrix
    assert matrix is not None
    assert (matrix[np.abs(matrix).argmax(0), np.arange(6)] > 0).all()


def test_fewer_items_than_widths_leave_the_rest_zero_and_say_so() -> None:
    data = vectors(4)
    made = fit_projection(in_blocks(data), WIDTHS, CONFIG)
    assert made.facts["components"] == 3  # four centred points span three directions
    assert not made.apply(data)[:, 3:].any()


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    data = vectors(100)
    made = fit_projection(in_blocks(data), WIDTHS, CONFIG)
    whole = made.apply(data)
    for row in (0, 41, 99):
        np.testing.assert_array_equal(made.apply(data[row : row + 1])[0], whole[row])


@pytest.mark.parametrize("rows", [0, 1])
def test_without_rows_to_fit_on_there_is_an_error(rows: int) -> None:
    with pytest.raises(StepError, match=f"{rows} items seen in train"):
        fit_projection(in_blocks(vectors(rows)), WIDTHS, CONFIG)


def test_a_file_that_is_no_projection_is_refused() -> None:
    with pytest.raises(StepError, match=r"package/projection.npz is not a projection.*embed.projection=fit"):
        load_projection(b"not an npz", "package/projection.npz")


def test_the_bytes_do_not_depend_on_the_order_of_the_facts() -> None:
    made = fit_projection(in_blocks(vectors(50)), WIDTHS, CONFIG)
    turned = replace(made, facts=dict(reversed(made.facts.items())))
    assert turned.to_bytes() == made.to_bytes()
