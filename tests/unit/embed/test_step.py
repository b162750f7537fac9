"""The whole step with tiny encoders: what it writes, and when it encodes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.dataset.images import loose_images
from components.dataset.item_ids import unpack_ids
from components.dataset.packing import pack_loose_images, take_images_apart, with_images
from components.embed.config import EmbedConfig
from components.embed.projection import fit_projection
from components.embed.step import assemble, embed, encode_shard
from components.embed.text import TextEncoder
from components.embed.vision import ImageEncoder
from components.errors import StepError
from components.storage.files import read_json, sha256_file
from tests.unit.embed.dataset import encoded, picture, write_dataset

NOBODY = Path("no-champion")


def info(out: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = pq.read_table(out / "item_info.parquet")
    assert table.column_names == ["item_id", "item_tags", "item_emb_d128"]
    return (
        table.column("item_id").to_numpy(),
        np.array(table.column("item_tags").to_pylist()),
        np.array(table.column("item_emb_d128").to_pylist(), dtype=np.float32),
    )


def encoded_counts(manifest: dict[str, Any]) -> tuple[int, int]:
    return manifest["cache"]["text"]["encoded"], manifest["cache"]["image"]["encoded"]


@pytest.mark.usefixtures("real_picture")
def test_row_i_is_item_i_and_row_0_is_padding(tmp_path: Path, tiny: EmbedConfig) -> None:
    data = write_dataset(tmp_path / "data", items=20)
    manifest = embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")
    ids, tags, vectors = info(tmp_path / "out")
    assert ids.tolist() == list(range(21))
    assert tags[:3].tolist() == [[0] * 5, [0, 0, 0, 2, 5], [0, 0, 0, 3, 6]]
    assert vectors.shape == (21, 8)
    assert not vectors[0].any()
    assert vectors[1:].any(1).all()
    assert manifest == read_json(tmp_path / "out" / "manifest.json")
    assert (manifest["items"], manifest["rows"], manifest["dimension"]) == (20, 21, 8)
    assert 0.5 < manifest["projection"]["explained_variance"] <= 1.0
    with Image.open(tmp_path / "out" / "contact_sheet.png") as sheet:
        assert sheet.width > 800


def test_a_gap_in_the_ids_is_a_zero_row(tmp_path: Path, tiny: EmbedConfig) -> None:
    data = write_dataset(tmp_path / "data", items=12)
    table = pq.read_table(data / "item_feature.parquet")
    pq.write_table(table.filter(np.arange(12) != 4), data / "item_feature.parquet")  # item 5 is gone, but rows name it
    manifest = embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")
    _, tags, vectors = info(tmp_path / "out")
    assert not vectors[5].any()
    assert not tags[5].any()
    assert vectors[6].any()
    assert unpack_ids(manifest["item_ids"]).tolist() == [1, 2, 3, 4, *range(6, 13)]
    assert manifest["bad_input"]["causes"]["item: not in item_feature"] == {"count": 1, "items": [5]}


@pytest.mark.usefixtures("real_picture")
def test_an_unchanged_run_encodes_nothing_and_writes_the_same_bytes(
    tmp_path: Path, tiny: EmbedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_dataset(tmp_path / "data")
    cold = embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "cold")
    assert encoded_counts(cold) == (24, 24)

    def no_forward(*_: object) -> None:
        raise AssertionError("a forward pass on a warm cache")

    monkeypatch.setattr(TextEncoder, "__init__", no_forward)
    monkeypatch.setattr(ImageEncoder, "__init__", no_forward)
    warm = embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "warm")
    assert encoded_counts(warm) == (0, 0)
    for name in ("item_info.parquet", "projection.npz", "contact_sheet.png"):
        assert (tmp_path / "cold" / name).read_bytes() == (tmp_path / "warm" / name).read_bytes()


def test_a_warm_run_does_not_even_load_torch(tmp_path: Path, tiny: EmbedConfig) -> None:
    embed(write_dataset(tmp_path / "data", items=6), NOBODY, tiny, tmp_path / "cache", tmp_path / "out")
    code = (
        "import sys; from pathlib import Path; from components.embed.step import embed; "
        "from components.embed.config import EmbedConfig\n"
        f"data, cache, out = (Path({str(tmp_path)!r}) / name for name in ('data', 'cache', 'again'))\n"
        f"embed(data, Path('none'), {tiny!r}, cache, out)\n"
        "print(sorted({'torch', 'transformers', 'matplotlib', 'boto3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_one_item_changed_is_one_item_encoded(tmp_path: Path, tiny: EmbedConfig) -> None:
    data = write_dataset(tmp_path / "data")
    embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")
    write_dataset(tmp_path / "data", images={7: encoded(picture(999))})
    assert encoded_counts(embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")) == (0, 1)
    write_dataset(tmp_path / "data", titles={3: "garden city"}, images={7: encoded(picture(999))})
    assert encoded_counts(embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")) == (1, 0)
    write_dataset(tmp_path / "data", items=25, titles={3: "garden city"}, images={7: encoded(picture(999))})
    assert encoded_counts(embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")) == (1, 1)


def test_what_is_made_later_equals_what_is_made_at_once(tmp_path: Path, tiny: EmbedConfig) -> None:
    embed(write_dataset(tmp_path / "data", items=11), NOBODY, tiny, tmp_path / "cache", tmp_path / "daily")
    data = write_dataset(tmp_path / "data", items=24)
    embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "daily")
    embed(data, NOBODY, tiny, tmp_path / "fresh", tmp_path / "cold")
    assert (tmp_path / "daily/item_info.parquet").read_bytes() == (tmp_path / "cold/item_info.parquet").read_bytes()


@pytest.mark.parametrize(
    "change", [{"precision": "bfloat16"}, {"pixel_limit": 10**6}], ids=["precision", "pixel-limit"]
)
def test_another_variant_is_encoded_afresh(tmp_path: Path, tiny: EmbedConfig, change: dict[str, Any]) -> None:
    data = write_dataset(tmp_path / "data", items=6)
    embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")
    manifest = embed(data, NOBODY, replace(tiny, **change), tmp_path / "cache", tmp_path / "out")
    assert manifest["cache"]["image"]["encoded"] == 6


def test_packed_images_give_the_same_bits_as_loose_ones_and_are_not_encoded_again(
    tmp_path: Path, tiny: EmbedConfig
) -> None:
    """As the steps see them: shards in the workspace, joined with the tables by links."""
    images, store = tmp_path / "images", tmp_path / "store"
    loose, packed = (write_dataset(tmp_path / name, items=23) for name in ("loose", "packed"))
    embed(loose, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")
    pack_loose_images(packed, shard_bytes=4_000)
    take_images_apart(packed, images, store)
    assert len(loose_images(loose)) == 23
    assert len(list(store.glob("*/shard.tar"))) < 8
    with with_images(packed, images, store) as data:
        for cache, encoded in (("cache", (0, 0)), ("cold", (23, 23))):
            manifest = embed(data, NOBODY, tiny, tmp_path / cache, tmp_path / cache / "out")
            assert encoded_counts(manifest) == encoded
            for name in ("item_info.parquet", "projection.npz"):
                assert (tmp_path / "out" / name).read_bytes() == (tmp_path / cache / "out" / name).read_bytes()


def test_another_fusion_encodes_nothing_again(tmp_path: Path, tiny: EmbedConfig) -> None:
    data = write_dataset(tmp_path / "data", items=9)
    embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")
    for change in ({"fusion": "separate-pca"}, {"fusion": "none"}, {"standardise": "feature"}, {"dimension": 4}):
        manifest = embed(data, NOBODY, replace(tiny, **change), tmp_path / "cache", tmp_path / "out")
        assert encoded_counts(manifest) == (0, 0)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shards", [2, 3, 7])
def test_several_shards_give_the_same_bits_as_one(tmp_path: Path, tiny: EmbedConfig, shards: int, threads: int) -> None:
    data = write_dataset(tmp_path / "data", items=23)
    embed(data, NOBODY, replace(tiny, threads=2), tmp_path / "one", tmp_path / "alone")
    config = replace(tiny, threads=threads)
    reports = [encode_shard(data, config, tmp_path / "many", k, shards) for k in reversed(range(shards))]
    manifest = assemble(data, NOBODY, config, tmp_path / "many", tmp_path / "together", reports)
    for name in ("item_info.parquet", "projection.npz"):
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "together" / name).read_bytes()
    assert sum(report["items"] for report in reports) == 23
    assert encoded_counts(manifest) == (23, 23)


def test_a_failed_shard_is_retried_alone(tmp_path: Path, tiny: EmbedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    data, cache = write_dataset(tmp_path / "data", items=20), tmp_path / "cache"
    encode_shard(data, tiny, cache, 0, 2)
    with monkeypatch.context() as patch:
        patch.setattr(ImageEncoder, "forward", _fails_after(ImageEncoder.forward, calls=2))
        with pytest.raises(OSError, match="pulled"):
            encode_shard(data, tiny, cache, 1, 2)
    with pytest.raises(StepError, match=r"items have no image vector .* Run encode_shard again"):
        assemble(data, NOBODY, tiny, cache, tmp_path / "out")
    again = encode_shard(data, tiny, cache, 1, 2)["modalities"]
    assert (again["text"]["encoded"], again["image"]["encoded"]) == (0, 6)  # 4 of 10 were flushed when it broke off
    assert encode_shard(data, tiny, cache, 0, 2)["modalities"]["image"]["encoded"] == 0
    assemble(data, NOBODY, tiny, cache, tmp_path / "out")


def _fails_after(forward: Any, calls: int) -> Any:
    left = [calls]

    def failing(self: ImageEncoder, pictures: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise OSError("the plug was pulled")
        return forward(self, pictures)

    return failing


@pytest.mark.parametrize(("shard", "shards"), [(2, 2), (-1, 2), (0, 0)])
def test_a_shard_that_is_not_there_is_refused(tmp_path: Path, tiny: EmbedConfig, shard: int, shards: int) -> None:
    with pytest.raises(ValueError, match="shard = "):
        encode_shard(tmp_path, tiny, tmp_path / "cache", shard, shards)


def test_a_damaged_shard_is_named_and_made_again(tmp_path: Path, tiny: EmbedConfig) -> None:
    data = write_dataset(tmp_path / "data", items=10)
    first = embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")
    before = (tmp_path / "out/item_info.parquet").read_bytes()
    shard = next((tmp_path / "cache" / first["encoders"]["image"]["id"]).glob("*.arrow"))
    broken = bytearray(shard.read_bytes())
    broken[len(broken) // 2] ^= 0x40
    shard.write_bytes(bytes(broken))
    manifest = embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")
    assert manifest["damaged_shards"] == [f"{shard.parent.name}/{shard.name}"]
    assert encoded_counts(manifest) == (0, 10)
    assert (tmp_path / "out/item_info.parquet").read_bytes() == before
    assert embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")["damaged_shards"] == []


def test_the_projection_sees_only_items_that_train_has_seen(tmp_path: Path, tiny: EmbedConfig) -> None:
    seen = list(range(1, 16))
    data = write_dataset(tmp_path / "data", items=20, train=seen)
    first = embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")
    write_dataset(tmp_path / "data", items=20, train=seen, images={18: encoded(picture(77))}, titles={19: "old boat"})
    unseen_changed = embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")
    assert first["projection"]["fitted_on"] == 15
    assert unseen_changed["projection"]["hash"] == first["projection"]["hash"]
    write_dataset(tmp_path / "data", items=20, train=seen, images={3: encoded(picture(77))})
    assert (
        embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")["projection"]["hash"]
        != first["projection"]["hash"]
    )


def test_a_fit_is_recalled_unless_something_it_depends_on_changed(
    tmp_path: Path, tiny: EmbedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, fits = write_dataset(tmp_path / "data", items=12, train=range(1, 11)), []

    def counted(*arguments: Any) -> Any:
        fits.append(arguments)
        return fit_projection(*arguments)

    monkeypatch.setattr("components.embed.assemble.fit_projection", counted)

    def run(config: EmbedConfig) -> tuple[str, int]:
        fits.clear()
        manifest = embed(data, NOBODY, config, tmp_path / "cache", tmp_path / "out")
        return manifest["projection"]["hash"], len(fits)

    first, _ = run(tiny)
    assert run(tiny) == (first, 0)
    for change in ({"dimension": 4}, {"fusion": "separate-pca"}, {"standardise": "none"}, {"image_encoder": "none"}):
        assert run(replace(tiny, **change))[1] == 1
    (kept,) = [p for p in (tmp_path / "cache/projections").iterdir() if sha256_file(p) == first]
    kept.write_bytes(kept.read_bytes()[:-50])
    assert run(tiny) == (first, 1)
    assert read_json(tmp_path / "out/manifest.json")["damaged_shards"] == [f"projections/{kept.name}"]
    write_dataset(tmp_path / "data", items=12, train=range(1, 10))
    assert run(tiny)[1] == 1


def test_the_champions_projection_keeps_embeddings_comparable(tmp_path: Path, tiny: EmbedConfig) -> None:
    data, champion = write_dataset(tmp_path / "data", items=15), tmp_path / "champion"
    reuse = replace(tiny, projection="reuse-champion")
    first = embed(data, champion, reuse, tmp_path / "cache", tmp_path / "monday")
    assert first["projection"]["origin"] == "fitted"  # there is no champion yet
    (champion / "package").mkdir(parents=True)
    (tmp_path / "monday/projection.npz").rename(champion / "package/projection.npz")
    write_dataset(tmp_path / "data", items=20)
    second = embed(data, champion, reuse, tmp_path / "cache", tmp_path / "tuesday")
    assert second["projection"]["origin"] == "champion"
    assert second["projection"]["hash"] == first["projection"]["hash"]
    np.testing.assert_array_equal(info(tmp_path / "monday")[2], info(tmp_path / "tuesday")[2][:16])
    for change in ({"image_encoder": "none"}, {"dimension": 4}, {"fusion": "none"}):
        with pytest.raises(StepError, match=r"the champion's was fitted on .* Set embed.projection=fit"):
            embed(data, champion, replace(reuse, **change), tmp_path / "cache", tmp_path / "out")


def test_named_tags_keep_the_champions_numbers(tmp_path: Path, tiny: EmbedConfig) -> None:
    """A ranker that starts from the champion's weights takes over an embedding for each number."""
    text_only = replace(tiny, image_encoder="none")
    champion = tmp_path / "champion"
    for night, new in (("monday", []), ("tuesday", ["anchor"])):
        data = write_dataset(tmp_path / night / "data", items=12)
        table = pq.read_table(data / "item_feature.parquet").drop_columns(["item_tags"])
        tags = [["boat", *new] if row % 2 else ["car"] for row in range(12)]
        pq.write_table(table.append_column("item_tags", pa.array(tags)), data / "item_feature.parquet")
        manifest = embed(data, champion, text_only, tmp_path / "cache", tmp_path / night / "out")
        assert manifest["tag_names"] == ["boat", "car", *new]
        (champion / "package").mkdir(parents=True, exist_ok=True)
        (champion / "package" / "manifest.json").write_bytes((tmp_path / night / "out/manifest.json").read_bytes())
    assert info(tmp_path / "tuesday" / "out")[1][1:3].tolist() == [[0, 0, 0, 0, 2], [0, 0, 0, 1, 3]]


def test_items_that_share_a_cover_share_its_vector(tmp_path: Path, tiny: EmbedConfig) -> None:
    data = write_dataset(tmp_path / "data", items=9, images=dict.fromkeys((2, 4, 6), encoded(picture(50))))
    assert encoded_counts(embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")) == (9, 7)
