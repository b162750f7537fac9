"""The sample's promises: shapes, splits and pools like the challenge's, and a truth that can be found."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from components.dataset.images import ImageFolder
from components.dataset.layout import SPLITS, item_feature_path, item_info_path, split_path
from components.dataset.sample import SIZES, SampleSpec, write_sample
from components.dataset.sample.clicks import draw_rows
from components.dataset.sample.spec import Content
from components.dataset.sample.truth import Truth
from components.dataset.sample.world import make_world
from components.storage.files import read_json, sha256_file

MEDIUM = SampleSpec(train_rows=20_000, valid_rows=2_500, test_rows=5_000)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample")
    write_sample(out, MEDIUM)
    return out


def _frame(sample: Path, split: str) -> Any:
    return pq.read_table(split_path(sample, split)).to_pandas()


def _histories(sample: Path, split: str) -> Any:
    return np.stack(_frame(sample, split).item_seq.to_numpy())


def test_histories_are_padded_on_the_left_and_as_long_as_the_challenges(sample: Path) -> None:
    history = _histories(sample, "train")
    assert history.shape == (20_000, 100)
    lengths = (history > 0).sum(axis=1)
    assert np.percentile(lengths, [0, 25, 50, 75, 100]).tolist() == [3, 4, 6, 9, 100]
    left_of_a_click = np.arange(100)[None, :] < (100 - lengths)[:, None]
    assert (history[left_of_a_click] == 0).all()


def test_no_item_is_clicked_twice_and_no_target_is_in_its_own_history(sample: Path) -> None:
    for split in SPLITS:
        frame, history = _frame(sample, split), _histories(sample, split)
        assert not (history == frame.item_id.to_numpy()[:, None]).any()
        for row in history[:500]:
            clicks = row[row > 0]
            assert len(set(clicks)) == len(clicks)
        assert not frame.duplicated(["user_id", "item_id"]).any()


def test_each_user_has_one_click_to_three_and_lives_in_one_split(sample: Path) -> None:
    users = [_frame(sample, split) for split in SPLITS]
    for frame in users:
        assert (frame.groupby("user_id").label.agg(["sum", "size"]) == [1, 4]).all().all()
    sets = [set(frame.user_id) for frame in users]
    assert len(set.union(*sets)) == sum(len(users) for users in sets)


def test_negatives_come_from_pools_that_differ_and_test_has_items_never_seen(sample: Path) -> None:
    frames = {split: _frame(sample, split) for split in SPLITS}
    pools = {split: set(frame.item_id[frame.label == 0]) for split, frame in frames.items()}
    known = 300 - 24
    assert len(pools["train"]) <= 0.85 * known + 1
    assert pools["train"] != pools["test"]
    assert pools["test"] - pools["train"]
    in_train = set(frames["train"].item_id) | set(np.unique(_histories(sample, "train")))
    unseen = set(frames["test"].item_id) - in_train
    assert unseen
    assert not unseen & set(frames["valid"].item_id)


def test_levels_are_deciles_of_the_item_and_the_row_repeats_them(sample: Path) -> None:
    items = pq.read_table(item_feature_path(sample)).to_pandas().set_index("item_id")
    for level in ("likes_level", "views_level"):
        assert sorted(items[level].unique()) == list(range(1, 11))
        assert items[level].value_counts().between(29, 31).all()
        rows = _frame(sample, "train")
        assert (rows[level].to_numpy() == items[level].loc[rows.item_id].to_numpy()).all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_popularity_content_and_oracle_are_clearly_apart(tmp_path: Path, seed: int) -> None:
    write_sample(tmp_path, dataclasses.replace(MEDIUM, seed=seed, content="item_info"))
    for split, truth in read_json(tmp_path / "truth.json")["splits"].items():
        auc = truth["auc"]
        assert auc["popularity"] + 0.1 < auc["content"], (split, auc)
        assert auc["content"] + 0.05 < auc["oracle_blind_to_pools"] < auc["oracle"] < 0.97, (split, auc)
        assert 0.249 < truth["positive_share"] < 0.251


def test_taste_is_readable_from_history_and_content_in_the_files_alone(tmp_path: Path) -> None:
    """The likeness of an item's vector to those of the history, and nothing else, ranks far above popularity."""
    write_sample(tmp_path, dataclasses.replace(MEDIUM, content="item_info"))
    vectors = np.stack(pq.read_table(item_info_path(tmp_path))["item_emb_d128"].to_numpy())
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9
    frame, history = _frame(tmp_path, "test"), _histories(tmp_path, "test")
    likeness = np.einsum("bld,bd->bl", vectors[history], vectors[frame.item_id]).sum(axis=1) / (history > 0).sum(axis=1)
    truth = read_json(tmp_path / "truth.json")["splits"]["test"]["auc"]
    assert roc_auc_score(frame.label, likeness) > truth["popularity"] + 0.1


def test_the_click_probability_is_calibrated() -> None:
    """Of rows said to be clicked with probability p, a share p is: the oracle's AUC is that of the true model."""
    world = make_world(MEDIUM)
    rows = list(draw_rows(world, dataclasses.replace(MEDIUM, train_rows=60_000), "train"))
    probability = np.concatenate([r.probability for r in rows])
    label = np.concatenate([r.label for r in rows])
    edges = np.quantile(probability, np.linspace(0, 1, 11)[1:-1])
    for group in range(10):
        inside = np.digitize(probability, edges) == group
        p, share, n = probability[inside].mean(), label[inside].mean(), inside.sum()
        assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / n) + 1e-3, (group, p, share)


def test_the_aucs_are_those_of_an_independent_implementation() -> None:
    world = make_world(MEDIUM)
    truth = Truth(world)
    rows = list(draw_rows(world, MEDIUM, "train"))
    for chunk in rows:
        truth.add("train", chunk)
    label, probability = (np.concatenate([getattr(r, name) for r in rows]) for name in ("label", "probability"))
    expected = roc_auc_score(label, probability.astype(np.float32))
    assert truth.summary()["train"]["auc"]["oracle"] == pytest.approx(expected, abs=1e-6)


def test_same_spec_same_bytes_and_another_seed_another_world(tmp_path: Path) -> None:
    hashes = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_sample(tmp_path / name, dataclasses.replace(SIZES["tiny"], seed=seed))
        hashes.append({p.name: sha256_file(p) for p in sorted((tmp_path / name).iterdir())})
    assert hashes[0] == hashes[1]
    assert all(hashes[0][name] != hashes[2][name] for name in hashes[0])


def test_a_sample_with_more_rows_has_the_same_items(tmp_path: Path) -> None:
    write_sample(tmp_path / "few", SIZES["tiny"])
    write_sample(tmp_path / "many", dataclasses.replace(SIZES["tiny"], train_rows=3_000))
    for name in ("item_feature.parquet", "item_images-00000.tar"):
        assert sha256_file(tmp_path / "few" / name) == sha256_file(tmp_path / "many" / name)


def test_each_item_has_a_cover_that_shows_its_colour(sample: Path) -> None:
    images = ImageFolder(sample)
    assert images.ids() == list(range(1, 301))
    world = make_world(MEDIUM)
    hues = np.array(
        [Image.open(io.BytesIO(images.read(i))).convert("HSV").getpixel((1, 1))[0] for i in images.ids()]  # type: ignore[index]
    )
    expected = world.attributes[:, 1] * 256 / 6
    apart = np.abs((hues - expected + 128) % 256 - 128)
    assert (apart < 16).mean() > 0.97


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        pytest.param("columns", {"txt_emb_BERT": 768, "img_emb_CLIPRN50": 1024}, id="precomputed-columns"),
        pytest.param("item_info", {"item_tags": 5, "item_emb_d128": 128}, id="ready-item-info"),
    ],
)
def test_content_without_images(tmp_path: Path, content: Content, columns: dict[str, int]) -> None:
    write_sample(tmp_path, dataclasses.replace(SIZES["tiny"], content=content))
    path = item_info_path(tmp_path) if content == "item_info" else item_feature_path(tmp_path)
    frame = pq.read_table(path).to_pandas()
    for column, width in columns.items():
        values = np.stack(frame[column].to_numpy())
        assert values.shape == (len(frame), width)
    if content == "item_info":
        assert not np.stack(frame.item_emb_d128.to_numpy())[0].any()
        assert frame.item_id.tolist() == list(range(101))
    assert len(ImageFolder(tmp_path)) == 0


def test_test_labels_can_be_left_out(tmp_path: Path) -> None:
    write_sample(tmp_path, dataclasses.replace(SIZES["tiny"], label_test=False))
    assert "label" not in pq.read_schema(split_path(tmp_path, "test")).names
    assert "label" in pq.read_schema(split_path(tmp_path, "valid")).names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"items": 3}, "sample.items = 3: must be at least 30", id="items"),
        pytest.param({"train_rows": 0}, "sample.train_rows = 0", id="rows"),
        pytest.param({"content": "video"}, "sample.content = 'video': must be one of", id="content"),
        pytest.param({"pool_popularity": -1.0}, "sample.pool_popularity = -1.0", id="pool-power"),
        pytest.param({"train_pool": 2.0}, "sample.train_pool = 2.0", id="pool"),
    ],
)
def test_a_wrong_spec_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SampleSpec(), **change)  # type: ignore[arg-type]
