"""Content that comes ready with the data: vectors in columns, tags as names, a whole item_info."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.dataset.sample import SIZES, write_sample
from components.embed.config import EmbedConfig
from components.embed.projection import load_projection
from components.embed.step import assemble, embed, encode_shard
from components.embed.text import TextEncoder
from components.errors import StepError
from tests.unit.embed.dataset import write_dataset

NOBODY = Path("no-champion")
RANDOM = np.random.default_rng(0)
BERT, CLIP = RANDOM.normal(size=(12, 7)).astype(np.float32), RANDOM.normal(size=(12, 5)).astype(np.float32)


def lists(values: np.ndarray) -> pa.Array:
    return pa.array(values.tolist(), pa.list_(pa.float32()))


def test_precomputed_columns_are_used_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TextEncoder, "__init__", lambda *_: pytest.fail("an encoder was loaded"))
    columns = {"txt_emb_BERT": lists(BERT), "img_emb_CLIPRN50": lists(CLIP)}
    data = write_dataset(tmp_path / "data", items=12, columns=columns)
    config = EmbedConfig(dimension=6, fusion="none", standardise="none")
    manifest = embed(data, NOBODY, config, tmp_path / "cache", tmp_path / "out")
    found = np.array(pq.read_table(tmp_path / "out/item_info.parquet").column("item_emb_d128").to_pylist())[1:]
    both = np.concatenate([BERT, CLIP], axis=1)
    np.testing.assert_allclose(found, both - both.mean(0), atol=1e-5)
    assert manifest["encoders"]["text"]["column"] == "txt_emb_BERT"
    assert manifest["cache"] == {}


def test_one_column_and_one_encoder_go_together(tmp_path: Path, tiny: EmbedConfig) -> None:
    data = write_dataset(tmp_path / "data", items=12, columns={"txt_emb_BERT": lists(BERT)})
    manifest = embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")
    assert manifest["encoders"]["text"]["column"] == "txt_emb_BERT"
    assert manifest["encoders"]["image"]["encoder"] == "clip-vit"
    ignored = embed(data, NOBODY, replace(tiny, use_precomputed=False), tmp_path / "cache", tmp_path / "out")
    assert ignored["encoders"]["text"]["encoder"] == "bert"


def test_a_bad_precomputed_vector_is_named(tmp_path: Path, tiny: EmbedConfig) -> None:
    rows: list[Any] = BERT.tolist()
    rows[2], rows[4], rows[6] = None, [1.0, 2.0], [float("nan")] * 7
    column = pa.array(rows, pa.list_(pa.float32()))
    data = write_dataset(tmp_path / "data", items=12, columns={"txt_emb_BERT": column})
    manifest = embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")
    assert {cause: entry["items"] for cause, entry in manifest["bad_input"]["causes"].items()} == {
        "text: txt_emb_BERT null": [3],
        "text: txt_emb_BERT not 7 wide": [5],
        "text: txt_emb_BERT not finite": [7],
    }
    assert manifest["imputed"]["text"] == [3, 5, 7]


def test_declared_texts_are_joined_and_what_is_not_declared_is_not_looked_for(
    tmp_path: Path, tiny: EmbedConfig
) -> None:
    """Texts of the same words give the same vectors, whatever the columns; without a declared image none is needed."""
    titles = pa.array([f"a title {item}" for item in range(6)])
    words = {"first": pa.array(["a"] * 6), "second": pa.array([f"title {item}" for item in range(6)])}
    data = write_dataset(tmp_path / "data", items=6, columns=words)
    table = pq.read_table(data / "item_feature.parquet")
    place = table.schema.get_field_index("item_title")
    pq.write_table(table.set_column(place, "item_title", titles), data / "item_feature.parquet")
    written = []
    for names in (["first", "second"], ["item_title"]):
        parts = ", ".join(f"{{name: {name}, of: item, kind: text}}" for name in names)
        (data / "features.yaml").write_text(f"features: [{parts}]")
        manifest = embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")
        assert list(manifest["encoders"]) == ["text"]
        written.append(pq.read_table(tmp_path / "out/item_info.parquet"))
    assert written[0].equals(written[1])


def test_tag_names_become_numbers_in_alphabetical_order(tmp_path: Path, tiny: EmbedConfig) -> None:
    tags = [["news", "cats"], [], None, ["a", "b", "c", "d", "e", "f"], ["cats"], ["cats"]]
    data = write_dataset(tmp_path / "data", items=6)
    table = pq.read_table(data / "item_feature.parquet")
    pq.write_table(
        table.set_column(2, "item_tags", pa.array(tags, pa.list_(pa.string()))), data / "item_feature.parquet"
    )
    manifest = embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "out")
    names = ["a", "b", "c", "cats", "d", "e", "f", "news"]
    assert manifest["tag_names"] == names
    written = pq.read_table(tmp_path / "out/item_info.parquet").column("item_tags").to_pylist()
    assert written == [[0] * 5, [0, 0, 0, 8, 4], [0] * 5, [0] * 5, [1, 2, 3, 5, 6], [0, 0, 0, 0, 4], [0, 0, 0, 0, 4]]
    assert manifest["bad_input"]["notes"] == {"tags: more than five, first five kept": 1}


def write_item_info(folder: Path, change: Any = lambda table: table) -> Path:
    data = write_dataset(folder, items=4, images=dict.fromkeys(range(1, 5)))
    table = pa.table(
        {
            "item_id": range(5),
            "item_tags": [[0] * 5, *([[0, 0, 0, 1, i] for i in range(1, 5)])],
            "item_emb_d128": [[0.0] * 3, *([[i, -i, 0.5] for i in range(1, 5)])],
        }
    )
    pq.write_table(change(table), data / "item_info.parquet")
    return data


@pytest.mark.usefixtures("real_picture")
def test_a_ready_item_info_passes_through_when_there_is_nothing_to_encode(tmp_path: Path) -> None:
    data = write_item_info(tmp_path / "data")  # titles, but no images
    manifest = embed(data, NOBODY, EmbedConfig(), tmp_path / "cache", tmp_path / "out")
    assert (manifest["source"], manifest["items"], manifest["dimension"]) == ("existing", 4, 3)
    nothing_bad = {"policy": "impute", "limit": EmbedConfig().bad_input_limit, "items": 0, "share": 0.0}
    assert manifest["bad_input"] == {**nothing_bad, "causes": {}, "notes": {}}
    assert {manifest[name] for name in ("rows", "shards")} == {5, 1}
    assert not any(manifest[name] for name in ("encoders", "imputed", "imputed_counts", "cache", "damaged_shards"))
    written = pq.read_table(tmp_path / "out/item_info.parquet")
    assert written.to_pylist() == pq.read_table(data / "item_info.parquet").to_pylist()
    assert written.column("item_emb_d128").type == pa.list_(pa.float32())
    assert (tmp_path / "out/contact_sheet.png").exists()
    assert load_projection((tmp_path / "out/projection.npz").read_bytes(), "").matrix is None
    assert encode_shard(data, EmbedConfig(), tmp_path / "cache", 0, 2)["items"] == 0
    assert assemble(data, NOBODY, EmbedConfig(), tmp_path / "cache", tmp_path / "out")["source"] == "existing"


def test_the_policy_about_a_ready_item_info(tmp_path: Path, tiny: EmbedConfig) -> None:
    data = write_item_info(tmp_path / "data")
    text_alone = replace(tiny, image_encoder="none")
    assert embed(data, NOBODY, text_alone, tmp_path / "cache", tmp_path / "out")["source"] == "encoded"
    assert (
        embed(data, NOBODY, replace(text_alone, existing="use"), tmp_path / "c", tmp_path / "o")["source"] == "existing"
    )
    with pytest.raises(StepError, match="no images"):
        embed(data, NOBODY, replace(tiny, existing="ignore"), tmp_path / "cache", tmp_path / "out")
    (data / "item_info.parquet").unlink()
    with pytest.raises(StepError, match=r"embed.existing='use' wants it"):
        embed(data, NOBODY, replace(tiny, existing="use"), tmp_path / "cache", tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.slice(1), "row 0 holds item 1; row i must hold item i"),
        (lambda t: t.take([0, 2, 1, 3, 4]), "row 1 holds item 2"),
        (lambda t: t.drop_columns(["item_tags"]), "has no column item_tags"),
        (lambda t: t.set_column(2, "item_emb_d128", [[[1.0]] * 5]), "row 0 is the padding and must be all zero"),
        (
            lambda t: t.set_column(2, "item_emb_d128", [[[0.0], [1.0], [float("nan")], [1.0], [1.0]]]),
            "item 2 is not finite",
        ),
        (lambda t: t.set_column(2, "item_emb_d128", [[[0.0], [1.0], None, [1.0], [1.0]]]), "of item 2 is null"),
        (lambda t: t.set_column(1, "item_tags", [[[0, 0]] * 5]), "item_tags has 2 entries a row; must have 5"),
    ],
    ids=["no-padding-row", "out-of-order", "no-tags", "padding-not-zero", "nan", "null", "two-tags"],
)
def test_a_ready_item_info_that_breaks_the_contract_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    data = write_item_info(tmp_path / "data", change)
    with pytest.raises(StepError, match=message):
        embed(data, NOBODY, EmbedConfig(existing="use"), tmp_path / "cache", tmp_path / "out")


@pytest.mark.parametrize(("content", "source"), [("columns", "encoded"), ("item_info", "existing")])
def test_the_sample_in_its_other_forms(tmp_path: Path, content: Any, source: str) -> None:
    write_sample(tmp_path / "data", replace(SIZES["tiny"], content=content))
    manifest = embed(tmp_path / "data", NOBODY, EmbedConfig(), tmp_path / "cache", tmp_path / "out")
    assert (manifest["source"], manifest["dimension"], manifest["items"]) == (source, 128, 100)
    assert manifest["bad_input"]["items"] == 0
