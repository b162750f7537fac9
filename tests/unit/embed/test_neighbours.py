"""Nearest neighbours, how often they agree, and the picture of them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.dataset.images import ImageFolder
from components.embed.contact_sheet import Captions, draw_contact_sheet
from components.embed.quality import spread, tag_agreement, view
from tests.unit.embed.dataset import encoded, picture

EVERYONE = np.ones(40, dtype=bool)


def two_worlds() -> tuple[np.ndarray, np.ndarray]:
    """Even and odd items lie apart; their tags say so."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(40, 6)) + np.where(np.arange(40) % 2, 8.0, -8.0)[:, None]
    return vectors.astype(np.float32), np.array([[0, 0, 0, 0, 1 + i % 2] for i in range(40)])


def test_neighbours_are_by_cosine_around_the_mean() -> None:
    vectors, _ = two_worlds()
    near, cosines = view("text", vectors, EVERYONE).nearest(np.array([3, 10]))
    centred = vectors - vectors.mean(0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    for query, found, told in zip((3, 10), near, cosines, strict=True):
        expected = unit @ unit[query]
        expected[query] = -np.inf
        assert found.tolist() == np.argsort(-expected, kind="stable")[:5].tolist()
        np.testing.assert_allclose(told, expected[found], atol=1e-6)


def test_items_that_could_not_be_read_are_never_neighbours() -> None:
    vectors, _ = two_worlds()
    usable = EVERYONE.copy()
    usable[::3] = False
    near, _ = view("text", vectors, usable).nearest(np.flatnonzero(usable))
    assert usable[near].all()


def test_tags_of_neighbours_agree_for_meaningful_vectors_and_not_for_noise() -> None:
    vectors, tags = two_worlds()
    noise = np.random.default_rng(1).normal(size=vectors.shape).astype(np.float32)
    report = tag_agreement([view("text", vectors, EVERYONE), view("image", noise, EVERYONE)], tags)
    assert report["text"] == 1.0
    assert 0.3 < report["image"] < 0.7
    assert report["queries"] == 40


def test_without_tags_there_is_nothing_to_agree_on() -> None:
    vectors, tags = two_worlds()
    assert tag_agreement([view("text", vectors, EVERYONE)], np.zeros_like(tags)) == {}


@pytest.mark.parametrize(("count", "expected"), [(3, [0, 20, 39]), (100, list(range(40)))])
def test_a_spread_is_even_and_the_same_every_time(count: int, expected: list[int]) -> None:
    assert spread(np.arange(40), count).tolist() == expected


@pytest.mark.parametrize("items", [1, 3, 40])
def test_the_picture_holds_covers_titles_and_the_lack_of_them(tmp_path: Path, items: int) -> None:
    (tmp_path / "item_images").mkdir()
    for item, data in ((1, encoded(picture(1))), (2, b"junk"), (3, encoded(Image.new("RGB", (50, 90), (200, 0, 0))))):
        (tmp_path / "item_images" / f"{item}.jpg").write_bytes(data)
    titles = ["🎬 מרחב", "word " * 200, "", *("x" * 300 for _ in range(37))][:items]
    captions = Captions(range(1, items + 1), titles, ImageFolder(tmp_path))
    vectors = two_worlds()[0][:items]
    views = [view(name, vectors, EVERYONE[:items]) for name in ("text", "image", "both")]
    sheets = []
    for name in ("one.png", "two.png"):
        draw_contact_sheet(captions, views, np.arange(min(items, 4)), tmp_path / name)
        sheets.append((tmp_path / name).read_bytes())
    assert sheets[0] == sheets[1]
    with Image.open(tmp_path / "one.png") as sheet:
        colours = sheet.convert("RGB").getcolors(2**24) or []
    assert (items >= 3) == any(red > 190 and green < 10 and blue < 10 for _, (red, green, blue) in colours)  # type: ignore[misc]


def test_the_first_tag_counts_like_any_other_and_padding_counts_for_none() -> None:
    vectors, tags = two_worlds()
    near = [view("text", vectors, EVERYONE)]
    ones = np.where(tags > 0, 1, 0)
    assert tag_agreement(near, ones)["random"] == 1.0
    own = np.zeros_like(tags)
    own[:, 4] = np.arange(40) + 2
    assert tag_agreement(near, own)["random"] == 0.0
