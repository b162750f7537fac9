"""Each way in which a text or an image can be unreadable: it is named, counted, and replaced by the mean or refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.embed.config import EmbedConfig
from components.embed.step import embed
from components.errors import StepError
from tests.unit.embed.dataset import encoded, picture, title, write_dataset

NOBODY = Path("no-champion")
GOOD = encoded(picture(2))
DEEP = Image.fromarray(np.arange(1600, dtype=np.uint16).reshape(40, 40) * 40)


def run(folder: Path, config: EmbedConfig, **dataset: Any) -> tuple[dict[str, Any], np.ndarray]:
    data = write_dataset(folder / "data", **dataset)
    manifest = embed(data, NOBODY, config, folder / "cache", folder / "out")
    column = pq.read_table(folder / "out" / "item_info.parquet").column("item_emb_d128")
    return manifest, np.array(column.to_pylist(), dtype=np.float32)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (None, "image: missing"),
        (b"", "image: empty file"),
        (b"not a picture at all", "image: not an image"),
        (GOOD[: len(GOOD) // 2], "image: truncated or damaged"),
        (encoded(Image.new("L", (2_000, 1_000))), "image: too many pixels"),
    ],
    ids=["missing", "zero-byte", "not-an-image", "truncated", "too-large"],
)
def test_a_bad_image_is_named_and_the_mean_stands_in(
    tmp_path: Path, tiny: EmbedConfig, data: bytes | None, cause: str
) -> None:
    config = replace(tiny, fusion="separate-pca", pixel_limit=1_000_000)
    manifest, vectors = run(tmp_path, config, items=12, images={5: data})
    assert manifest["bad_input"]["causes"] == {cause: {"count": 1, "items": [5]}}
    assert manifest["imputed"] == {"text": [], "image": [5]}
    assert vectors[5, :4].any()  # its text speaks
    np.testing.assert_allclose(vectors[5, 4:], 0.0, atol=1e-6)  # the mean image, after centring
    assert manifest["projection"]["fitted_on"] == 11  # and nothing was learnt from it


@pytest.mark.parametrize(
    ("image", "note"),
    [
        (encoded(picture(2).convert("CMYK")), "image: CMYK"),
        (encoded(DEEP, "PNG"), "image: more than 8 bits a channel"),
        (encoded(picture(2), "GIF", save_all=True, append_images=[picture(3)]), "image: animated: first frame"),
        (encoded(picture(2).convert("RGBA"), "PNG"), "image: transparent: on white"),
    ],
    ids=["cmyk", "16-bit", "animated", "transparent"],
)
def test_an_odd_image_is_used_and_noted(tmp_path: Path, tiny: EmbedConfig, image: bytes, note: str) -> None:
    manifest, vectors = run(tmp_path, tiny, items=8, images={2: image})
    assert (manifest["bad_input"]["causes"], manifest["bad_input"]["notes"]) == ({}, {note: 1})
    assert vectors[2].any()


@pytest.mark.parametrize(
    ("text", "cause"),
    [(None, "text: null"), ("", "text: empty"), (" \t\n ", "text: empty")],
    ids=["null", "empty", "blank"],
)
def test_an_item_without_a_text_is_named(tmp_path: Path, tiny: EmbedConfig, text: str | None, cause: str) -> None:
    manifest, vectors = run(tmp_path, tiny, items=8, titles={3: text})
    assert manifest["bad_input"]["causes"] == {cause: {"count": 1, "items": [3]}}
    assert manifest["imputed"]["text"] == [3]
    assert vectors[3].any()


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("🎬🍿✨", {}),
        ("مرحبا بالعالم שלום", {}),
        ("a\u202eb\x00c\ufeff", {}),
        ("red cat " * 50_000, {"text: cut to 64 tokens": 1}),
    ],
    ids=["emoji", "right-to-left", "control-characters", "very-long"],
)
def test_a_strange_text_is_a_text(tmp_path: Path, tiny: EmbedConfig, text: str, notes: dict[str, int]) -> None:
    manifest, vectors = run(tmp_path, tiny, items=8, titles={3: text})
    assert (manifest["bad_input"]["causes"], manifest["bad_input"]["notes"]) == ({}, notes)
    assert vectors[3].any()


def test_an_item_without_text_and_image_is_marked(tmp_path: Path, tiny: EmbedConfig) -> None:
    manifest, vectors = run(tmp_path, tiny, items=10, titles={4: None}, images={4: b""})
    assert manifest["bad_input"]["causes"]["item: neither text nor image"] == {"count": 1, "items": [4]}
    assert manifest["imputed"] == {"text": [4], "image": [4]}
    assert manifest["same_as_mean"] == [4]  # the one zero row, and it is not silent
    assert vectors[np.arange(11) != 4][1:].any(1).all()


def test_a_second_row_for_an_id_counts_unless_it_says_the_same(tmp_path: Path, tiny: EmbedConfig) -> None:
    data = write_dataset(tmp_path / "data", items=10)
    table = pq.read_table(data / "item_feature.parquet")
    other = table.slice(6, 1).set_column(1, "item_title", pa.array(["another title"]))
    pq.write_table(
        pa.concat_tables([other.slice(0, 0), table, table.slice(2, 1), other]), data / "item_feature.parquet"
    )
    manifest = embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")
    assert manifest["bad_input"]["causes"] == {"item: duplicate id": {"count": 1, "items": [7]}}
    assert manifest["items"] == 10
    clean, _ = run(tmp_path / "clean", tiny, items=10)
    assert clean["item_info_sha256"] == manifest["item_info_sha256"]  # the first row of item 7 counts


@pytest.mark.parametrize(
    ("change", "bad", "stops"),
    [
        ({"bad_input_limit": 0.01}, 1, False),
        ({"bad_input_limit": 0.01}, 2, True),
        ({"bad_input": "fail"}, 0, False),
        ({"bad_input": "fail", "bad_input_limit": 0.5}, 1, True),
    ],
    ids=["1-in-100", "2-in-100", "fail-without-any", "fail-with-one"],
)
def test_the_policy_decides(tmp_path: Path, tiny: EmbedConfig, change: dict[str, Any], bad: int, stops: bool) -> None:
    images = dict.fromkeys(range(30, 30 + bad), b"junk")
    config = replace(tiny, text_batch=16, image_batch=16, **change)
    if stops:
        told = rf"{bad} items \({bad}.00%\) cannot be embedded .* image: not an image × {bad} \(item 30\)"
        with pytest.raises(StepError, match=told):
            run(tmp_path, config, items=100, images=images)
        assert not (tmp_path / "out").exists()
    else:
        manifest, _ = run(tmp_path, config, items=100, images=images)
        assert manifest["bad_input"]["items"] == bad


def test_by_default_one_item_in_a_hundred_may_be_unreadable() -> None:
    assert (EmbedConfig().bad_input, EmbedConfig().bad_input_limit) == ("impute", 0.01)


def test_the_kind_of_unreadable_bytes_does_not_change_other_items(tmp_path: Path, tiny: EmbedConfig) -> None:
    one, _ = run(tmp_path / "one", tiny, items=9, images={5: b"junk"})
    two, _ = run(tmp_path / "two", tiny, items=9, images={5: None})
    assert one["item_info_sha256"] == two["item_info_sha256"]


def test_a_bad_image_is_not_decoded_again(tmp_path: Path, tiny: EmbedConfig) -> None:
    run(tmp_path, tiny, items=9, images={5: b"junk"})
    manifest, _ = run(tmp_path, tiny, items=9, images={5: b"junk"})
    assert manifest["cache"]["image"] == {**manifest["cache"]["image"], "hits": 9, "encoded": 0}
    assert manifest["imputed"]["image"] == [5]


def test_a_dataset_without_any_image_is_an_error_with_a_remedy(tmp_path: Path, tiny: EmbedConfig) -> None:
    none = dict.fromkeys(range(1, 9))
    with pytest.raises(StepError, match=r"no images: .* embed.image_encoder=none"):
        run(tmp_path, tiny, items=8, images=none)
    manifest, vectors = run(tmp_path, replace(tiny, image_encoder="none"), items=8, images=none)
    assert list(manifest["encoders"]) == ["text"]
    assert vectors[1:].any(1).all()


def test_a_dataset_in_which_no_item_is_readable_is_an_error(tmp_path: Path, tiny: EmbedConfig) -> None:
    with pytest.raises(StepError, match=r"not one item has a usable image \(not an image\)"):
        run(tmp_path, replace(tiny, bad_input_limit=1.0), items=6, images=dict.fromkeys(range(1, 7), b"junk"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["item_title"]), r"no column item_title .* embed.text_encoder=none"),
        (lambda t: t.drop_columns(["item_id"]), "has no column item_id"),
        (lambda t: t.slice(0, 0), "lists no items"),
        (lambda t: t.set_column(0, "item_id", pa.array([None, *range(1, 6)], pa.int64())), "1 rows without an item_id"),
        (lambda t: t.set_column(0, "item_id", pa.array([-4, *range(1, 6)])), "has the id -4"),
        (lambda t: t.set_column(0, "item_id", pa.array([10**12, *range(1, 6)])), "id 1000000000000: .* Renumber"),
    ],
    ids=["no-titles", "no-ids", "empty", "null-id", "negative-id", "stray-id"],
)
def test_an_item_table_that_cannot_be_read_says_why(
    tmp_path: Path, tiny: EmbedConfig, change: Any, message: str
) -> None:
    path = write_dataset(tmp_path / "data", items=6) / "item_feature.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(StepError, match=message):
        embed(tmp_path / "data", NOBODY, tiny, tmp_path / "cache", tmp_path / "out")


def test_a_broken_encoder_is_not_cached(tmp_path: Path, tiny: EmbedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.embed.vision import ImageEncoder

    monkeypatch.setattr(ImageEncoder, "forward", lambda _, pictures: np.full((len(pictures), 24), np.nan, np.float32))
    with pytest.raises(StepError, match=r"clip-vit gave a vector that is zero or not finite in float32"):
        run(tmp_path, tiny, items=6)
    monkeypatch.undo()
    manifest, _ = run(tmp_path, tiny, items=6)
    assert manifest["cache"]["image"]["encoded"] == 6


def test_titles_are_what_the_text_columns_name(tmp_path: Path, tiny: EmbedConfig) -> None:
    data = write_dataset(tmp_path / "data", items=8, columns={"subtitle": ["snow"] * 7 + [None]}, titles={8: None})
    manifest = embed(
        data, NOBODY, replace(tiny, text_columns=("item_title", "subtitle")), tmp_path / "c", tmp_path / "o"
    )
    assert manifest["bad_input"]["causes"] == {"text: null": {"count": 1, "items": [8]}}
    joined, _ = run(
        tmp_path / "joined", tiny, items=8, titles={**{i: f"{title(i)} snow" for i in range(1, 8)}, 8: None}
    )
    assert manifest["item_info_sha256"] == joined["item_info_sha256"]
