"""The embed step on any bytes, any tags and any order of work: it does not crash, and its result is the defined one."""

import io
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.dataset.pictures import read_picture
from components.embed.cache import CachedVector, VectorCache, content_key
from components.embed.config import EmbedConfig
from components.embed.item_inputs import read_items
from components.embed.projection import fit_projection

FORMS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")


@lru_cache
def _file(form: str, width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(width * 100 + height).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, form)
    return buffer.getvalue()


# Pillow warns of damaged metadata beside pixels that it can still read.
@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=150)
@given(st.data(), st.sampled_from(FORMS), st.integers(1, 40), st.integers(1, 40))
def test_a_mangled_picture_has_pixels_or_a_cause(data: st.DataObject, form: str, width: int, height: int) -> None:
    whole = bytearray(_file(form, width, height))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    read = read_picture(bytes(whole[: data.draw(st.integers(0, len(whole)))]), 8, 10_000)
    assert (read.pixels is None) == bool(read.cause)
    if read.pixels is not None:
        assert read.pixels.shape == (8, 8, 3)
        assert read.pixels.dtype == np.uint8


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_have_a_cause(data: bytes) -> None:
    assert read_picture(data, 8, 10_000).cause in (
        "empty file",
        "not an image",
        "truncated or damaged",
        "too many pixels",
    )


TITLES = st.one_of(st.none(), st.text(max_size=30))
TAG_LISTS = st.one_of(st.none(), st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=8))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 12), TITLES, TAG_LISTS), min_size=1, max_size=12))
def test_items_are_one_a_id_in_order_whatever_the_table(
    rows: list[tuple[int, str | None, list[int | None] | None]],
) -> None:
    ids, titles, tags = zip(*rows, strict=True)
    with tempfile.TemporaryDirectory() as folder:
        table = pa.table(
            {
                "item_id": pa.array(ids, pa.int64()),
                "item_title": pa.array(titles, pa.string()),
                "item_tags": pa.array(tags, pa.list_(pa.int64())),
            }
        )
        pq.write_table(table, Path(folder, "item_feature.parquet"))
        items = read_items(Path(folder), EmbedConfig())
    assert items.ids == sorted(set(ids) - {0})
    for item, text, padded in zip(items.ids, items.texts, items.tags, strict=True):
        assert bool(text) != (item in items.bad["text"])
        assert len(padded) == 5
        first = tags[ids.index(item)] or []
        assert [tag for tag in padded if tag] == [tag for tag in first if tag][:5]
        assert padded == sorted(padded, key=bool)  # zeros on the left


@settings(max_examples=25)
@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=8), min_size=1, max_size=5))
def test_however_vectors_were_put_each_key_finds_its_own(puts: list[list[int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for numbers in puts:
            with VectorCache(folder) as cache:
                made = [CachedVector(content_key(b"%d" % n), np.full(2, n, np.float32)) for n in numbers]
                cache.put("room", made, 2)
        with VectorCache(folder) as cache:
            known = sorted({number for numbers in puts for number in numbers})
            into = np.zeros((len(known), 2), np.float32)
            cache.room("room").gather([content_key(b"%d" % n) for n in known], into)
    assert into[:, 0].tolist() == known


@settings(max_examples=40)
@given(st.integers(2, 40), st.integers(1, 12), st.integers(1, 9), st.integers(1, 20), st.integers(0, 10**6))
def test_a_projection_does_not_depend_on_how_rows_are_cut(
    rows: int, width: int, block: int, out: int, seed: int
) -> None:
    data = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    config = EmbedConfig(dimension=out)
    one = fit_projection(lambda: iter([data]), [width], config)
    many = fit_projection(lambda: iter([data[i : i + block] for i in range(0, rows, block)]), [width], config)
    # Distances hold even where near-equal variances let directions turn; a projection never stretches them.
    np.testing.assert_allclose(one.apply(data) @ one.apply(data).T, many.apply(data) @ many.apply(data).T, atol=2e-3)
    assert one.apply(data).shape == (rows, out)
    assert 0.0 <= one.facts["explained_variance"] <= 1.0 + 1e-9
