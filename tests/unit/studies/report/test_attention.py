"""What is said of a ranker's attention against loops over single rows, and against rankers whose attention is known."""

import base64
import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor

from components.batches.rows import RowStore
from model.config import ModelConfig, code_columns
from model.ranker import Events, Ranker
from studies.attention import analyse
from tests.unit.model.builders import BASE, VOCABULARY, ranker

WIDTH = 9
CONFIG = replace(BASE, history_length=WIDTH)
LENGTHS = [0, 1, 2, 3, 4, 8, 9, 12, 12, 5, 9, 7]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> RowStore:
    return made_rows(tmp_path_factory.mktemp("rows"), LENGTHS)


def made_rows(folder: Path, lengths: list[int], labelled: bool = True) -> RowStore:
    rng = np.random.default_rng(4)
    number = len(lengths)
    columns: dict[str, Any] = {
        "user_id": np.arange(number) // 2,
        "item_id": rng.integers(1, VOCABULARY.items, number),
        "item_seq": pa.array([rng.integers(1, VOCABULARY.items, n).tolist() for n in lengths], pa.list_(pa.int64())),
        "likes_level": np.ones(number, np.int64),
        "views_level": np.ones(number, np.int64),
    }
    if labelled:
        columns["label"] = np.arange(number) % 3 > 0
        columns["label"] = columns["label"].astype(np.int64)
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return RowStore.build(folder / "rows.parquet", folder / "cache")


def tags_of(model: Ranker) -> Tensor:
    return model.table.codes_NX[:, code_columns(VOCABULARY.item)["item_tags"]]


def loops(model: Ranker, rows: RowStore, layer: int) -> dict[str, float]:
    """The same figures one row at a time, without padding."""
    found: dict[str, list[float]] = {name: [] for name in ("bits", "share", "same", "same_items", "new", "old")}
    tags = [set(line) - {0} for line in tags_of(model).tolist()]
    for number in range(len(rows)):
        n = min(int(rows.lengths[number]), WIDTH)
        if n < 2:
            continue
        history = rows.history(n, np.array([number])).astype(np.int64)
        item = rows.item[[number]].astype(np.int64)
        weights = model.attention(torch.from_numpy(history), torch.from_numpy(item))[layer][0].double().numpy()
        lines = weights.reshape(-1, n)
        if weights.ndim < 3:
            lines = np.abs(lines) / np.abs(lines).sum(1, keepdims=True)
        entropies = [-sum(w * math.log2(w) for w in line if w > 0) for line in lines]
        mean = lines.mean(0)
        quarter = math.ceil(n / 4)
        found["bits"].append(float(np.mean(entropies)))
        found["share"].append(float(np.mean(entropies)) / math.log2(n))
        found["new"].append(mean[-quarter:].sum())
        found["old"].append(mean[:quarter].sum())
        same = np.array([bool(tags[i] & tags[int(item[0])]) for i in history[0]])
        if 0 < same.sum() < n:
            found["same"].append(mean[same].sum())
            found["same_items"].append(same.mean())
    return {name: float(np.mean(values)) for name, values in found.items()}


NAMES = {
    "bits": "entropy_bits",
    "share": "entropy_share",
    "same": "same_tag_attention",
    "same_items": "same_tag_items",
    "new": "newest_quarter",
    "old": "oldest_quarter",
}


@pytest.mark.parametrize(
    ("config", "kinds"),
    [
        (CONFIG, ["layer 1", "layer 2"]),
        (replace(CONFIG, heads=2, layers=3), ["layer 1", "layer 2", "layer 3"]),
        (replace(CONFIG, target_concat=False, position="learned"), ["layer 1", "layer 2"]),
        (replace(CONFIG, interest="din", cross="none"), ["din"]),
        (replace(CONFIG, interest="recency", heads=3), ["recency"]),
        (replace(CONFIG, target_attention="din"), ["layer 1", "layer 2", "din"]),
    ],
    ids=["paper", "two heads", "no target", "din", "recency", "transformer and din"],
)
def test_figures_are_those_of_loops_over_single_rows(config: ModelConfig, kinds: list[str], rows: RowStore) -> None:
    model = ranker(config)
    summary = analyse(model, rows, Path("nowhere"))["summary"]
    assert [layer["name"] for layer in summary["layers"]] == kinds
    assert summary["rows"] == summary["eligible_rows"] == sum(n > 1 for n in LENGTHS)
    assert summary["mean_items"] == np.mean([min(n, WIDTH) for n in LENGTHS if n > 1])
    for depth, layer in enumerate(summary["layers"]):
        for name, value in loops(model, rows, depth).items():
            assert layer[NAMES[name]] == pytest.approx(value, abs=2e-6), name


class Known(Ranker):
    """Attends to what the test says: `even`ly over the real items, or to the `newest` alone."""

    look = "even"

    def attention(self, history_BL: Tensor, item_B: Tensor, events: Events | None = None) -> list[Tensor]:  # noqa: ARG002
        real_BL = (history_BL != 0).float()
        if self.look == "even":
            line_BL = real_BL / real_BL.sum(1, keepdim=True)
        else:
            line_BL = torch.zeros_like(real_BL)
            line_BL[:, {"newest": -1, "padded": 0}[self.look]] = 1.0
        return [line_BL[:, None, None].expand(-1, 1, real_BL.shape[1], -1)] * self.config.layers


def known(look: str) -> Known:
    model = ranker(replace(CONFIG, layers=1))
    model.__class__ = Known
    assert isinstance(model, Known)
    model.look = look
    return model


def test_even_attention_has_full_entropy_and_prefers_nothing(rows: RowStore) -> None:
    (layer,) = analyse(known("even"), rows, Path("nowhere"))["summary"]["layers"]
    assert layer["entropy_share"] == pytest.approx(1.0)
    assert layer["newest_quarter"] == pytest.approx(layer["quarter_items"])
    assert layer["oldest_quarter"] == pytest.approx(layer["quarter_items"])
    assert layer["same_tag_attention"] == pytest.approx(layer["same_tag_items"])
    assert 0 < layer["same_tag_rows"] <= sum(n > 1 for n in LENGTHS)


def test_entropy_is_never_above_that_of_even_attention(tmp_path: Path) -> None:
    """The inverted mask spreads its weight over the padding as well: of 2 items among 9 places it seemed 300% even."""
    model = ranker(replace(CONFIG, mask="inverted"))
    summary = analyse(model, made_rows(tmp_path, [2] * 30), Path("nowhere"))["summary"]
    assert summary["largest_on_padding"] > 0
    for layer in summary["layers"]:
        assert 0.5 < layer["entropy_share"] <= 1.0 + 1e-6


def test_attention_on_one_item_has_no_entropy(rows: RowStore) -> None:
    (layer,) = analyse(known("newest"), rows, Path("nowhere"))["summary"]["layers"]
    assert (layer["entropy_bits"], layer["newest_quarter"], layer["oldest_quarter"]) == (0.0, 1.0, 0.0)
    assert layer["largest_on_padding"] == 0.0


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, heads=2), replace(CONFIG, interest="din", cross="none")])
def test_padded_keys_get_exactly_nothing(config: ModelConfig, rows: RowStore) -> None:
    summary = analyse(ranker(config), rows, Path("nowhere"))["summary"]
    assert summary["largest_on_padding"] == 0.0
    assert all(layer["on_padding"] == 0.0 for layer in summary["layers"])


def test_the_published_mask_is_caught(rows: RowStore) -> None:
    """It reads the padding of every history shorter than its width."""
    model = ranker(replace(CONFIG, mask="inverted"))
    found = analyse(model, rows, Path("nowhere"))
    short = np.mean([n < WIDTH for n in LENGTHS if n > 1])
    assert found["summary"]["largest_on_padding"] > 0.1
    for layer in found["summary"]["layers"]:
        assert layer["on_padding"] == pytest.approx(short)
    assert any(example["padding"] > 0.99 for example in found["examples"])
    assert analyse(known("padded"), rows, Path("nowhere"))["summary"]["largest_on_padding"] == 1.0


def test_a_ranker_without_attention_is_reported_as_such(rows: RowStore) -> None:
    assert analyse(ranker(replace(CONFIG, interest="none")), rows, Path("nowhere")) == {"summary": None, "examples": []}


def test_rows_are_taken_evenly_and_the_ranker_left_as_it_was(rows: RowStore) -> None:
    model = ranker(CONFIG).train()
    summary = analyse(model, rows, Path("nowhere"), limit=3)["summary"]
    assert (summary["rows"], summary["eligible_rows"]) == (3, 10)
    assert model.training
    assert analyse(model, rows, Path("nowhere"), 3)["summary"] == summary  # no dropout: the figures are the ranker's


def test_a_table_without_tags_has_no_preference(rows: RowStore) -> None:
    model = ranker(CONFIG)
    tags_of(model).zero_()
    (layer, _) = analyse(model, rows, Path("nowhere"))["summary"]["layers"]
    assert (layer["same_tag_attention"], layer["same_tag_items"], layer["same_tag_rows"]) == (None, None, 0)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Titles for all but item 3; covers for the even ones, one of them damaged."""
    ids = [i for i in range(1, VOCABULARY.items) if i != 3]
    pq.write_table(
        pa.table({"item_id": ids, "item_title": [f"film {i}" for i in ids]}), tmp_path / "item_feature.parquet"
    )
    (tmp_path / "item_images").mkdir()
    for item in ids[1::2]:
        Image.new("RGB", (300, 200), (item, 0, 0)).save(tmp_path / "item_images" / f"{item}.jpg")
    (tmp_path / "item_images" / f"{ids[1]}.jpg").write_bytes(b"not a picture")
    return tmp_path


def test_examples_are_clicked_rows_of_different_users_with_their_weights(rows: RowStore, dataset: Path) -> None:
    model = ranker(CONFIG)
    examples = analyse(model, rows, dataset)["examples"]
    numbers = [example["row"] for example in examples]
    assert 1 <= len(examples) <= 4
    assert len({int(rows.user[number]) for number in numbers}) == len(numbers)
    for example in examples:
        number = example["row"]
        assert rows.label[number] == example["label"] == 1
        assert example["length"] >= 8
        history = rows.history(WIDTH, np.array([number]))[0]
        real = history[history != 0]
        assert [card["item"] for card in example["items"]] == real.tolist()
        assert example["target"]["item"] == rows.item[number]
        weights = model.attention(
            torch.from_numpy(real[None].astype(np.int64)), torch.from_numpy(rows.item[[number]].astype(np.int64))
        )[-1][0].mean(0)
        np.testing.assert_allclose(example["map"], weights, atol=1e-5)
        np.testing.assert_allclose([card["weight"] for card in example["items"]], weights.mean(0), atol=1e-5)
        np.testing.assert_allclose([card["newest_query"] for card in example["items"]], weights[-1], atol=1e-5)
        assert (example["older"], example["padding"], example["layer"]) == (0.0, 0.0, "layer 2")
        tags = [set(line) - {0} for line in tags_of(model).tolist()]
        target_tags = tags[example["target"]["item"]]
        assert [c["shares_tag"] for c in example["items"]] == [bool(tags[int(i)] & target_tags) for i in real]


def test_titles_and_covers_are_small_pictures_of_the_items(rows: RowStore, dataset: Path) -> None:
    examples = analyse(ranker(CONFIG), rows, dataset)["examples"]
    cards = {card["item"]: card for example in examples for card in [*example["items"], example["target"]]}
    covered = [card for card in cards.values() if card["cover"] is not None]
    assert covered
    for card in cards.values():
        assert card["title"] == ("" if card["item"] == 3 else f"film {card['item']}")
    for card in covered:
        head, data = card["cover"].split(",")
        assert head == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.size == (96, 96)
        assert len(data) < 8000


def test_a_long_history_shows_its_newest_items_and_says_what_lies_on_the_rest(tmp_path: Path) -> None:
    long = made_rows(tmp_path, [30, 30], labelled=False)
    (example, *_) = analyse(ranker(replace(BASE, history_length=40)), long, Path("nowhere"))["examples"]
    assert (example["length"], len(example["items"]), len(example["map"])) == (30, 20, 20)
    assert example["label"] is None
    shown = sum(card["weight"] for card in example["items"])
    assert shown + example["older"] == pytest.approx(1.0, abs=1e-3)
    assert example["older"] > 0.1


def test_interests_without_queries_have_weights_and_no_map(rows: RowStore) -> None:
    (example, *_) = analyse(ranker(replace(CONFIG, interest="recency")), rows, Path("nowhere"))["examples"]
    assert example["map"] is None
    assert sum(card["weight"] for card in example["items"]) == pytest.approx(1.0, abs=1e-3)
