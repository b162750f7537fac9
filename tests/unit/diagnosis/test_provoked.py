"""Each sign of failure is provoked in a ranker that is really trained, and named; good runs raise none.

benchmarks/results/diagnosis.json holds the long form: many seeds of the preset `sample` on the generated sample.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_training import MODEL

from .worlds import CONTENT, ITEMS, Array, Columns, World, found, warned

SUMS = replace(
    MODEL,
    interest="recency",
    heads=2,
    cross="low-rank",
    cross_rank=4,
    cross_layers=1,
    content_norm="rmsnorm",
    embedding_std=0.1,
)
READS_POSITIONS = replace(MODEL, position="learned", last_k=0, content_norm="rmsnorm", embedding_std=0.5)


def level_and_item(columns: Columns, rng: np.random.Generator) -> Array:
    del rng
    liked = np.where(columns["views_level"] > 5, 0.2, -0.2) + np.where(columns["item_id"] % 2, 0.28, -0.28)
    return 0.5 + liked


def test_the_inverted_mask_attends_to_padding(tmp_path: Path) -> None:
    findings = found(World(), tmp_path, replace(MODEL, mask="inverted"), max_epochs=1)
    assert findings["attention_on_padding"]["warns"]
    assert "model.mask = inverted" in findings["attention_on_padding"]["advice"]


def test_attention_that_learned_nothing_is_even(tmp_path: Path) -> None:
    even = found(World(), tmp_path, max_epochs=1, learning_rate=1e-3)["attention_even"]
    assert even["warns"]
    assert even["observed"] > 0.98
    assert "train longer" in even["advice"].lower()


def test_attention_on_the_newest_item_alone_has_collapsed(tmp_path: Path) -> None:
    def newest(columns: Columns, rng: np.random.Generator) -> Array:
        del rng
        return np.where(columns["item_seq"][:, -1] % 2, 0.9, 0.1)

    findings = found(World(newest), tmp_path, READS_POSITIONS, max_epochs=10, patience=10)
    assert warned(findings) == {"attention_collapsed"}
    assert findings["attention_collapsed"]["observed"] > 0.9


def test_a_test_split_of_another_world_is_below_valid(tmp_path: Path) -> None:
    findings = found(World(test_chance=lambda columns, _: np.full(len(columns["item_id"]), 0.4)), tmp_path, SUMS)
    assert warned(findings) == {"test_below_valid"}
    assert "Early stopping kept" in findings["test_below_valid"]["sentence"]


def test_few_rows_and_many_epochs_are_memorised(tmp_path: Path) -> None:
    def level(columns: Columns, rng: np.random.Generator) -> Array:
        del rng
        return np.where(columns["views_level"] > 5, 0.75, 0.25)

    tiny = World(level, rows={"train": 200, "valid": 3000, "test": 1500})
    settings = {"max_epochs": 30, "patience": 30, "learning_rate_decay": 1.0, "batch_size": 64}
    falls = found(tiny, tmp_path, SUMS, **settings)["valid_falls"]
    assert falls["warns"]
    assert falls["observed"] > 2 * falls["limit"]


def test_shuffled_content_lowers_the_auc(tmp_path: Path) -> None:
    """Content says nothing of an item here. The ranker takes it for the items of train, and is misled on new ones."""
    world = World(
        level_and_item,
        rows={"train": 1000, "valid": 3000, "test": 1500},
        items={"train": (1, 20), "valid": (20, ITEMS), "test": (20, ITEMS)},
        content=lambda rng: 3 * rng.normal(size=(ITEMS, CONTENT)),
    )
    hurts = found(world, tmp_path, replace(SUMS, content_norm="raw"), max_epochs=10, patience=10)["content_hurts"]
    assert hurts["warns"]
    assert hurts["observed"] > 0.02


def test_a_feature_that_tells_the_label_carries_the_ranking(tmp_path: Path) -> None:
    def giveaway(split: str, columns: Columns) -> None:
        tells = np.random.default_rng(len(split)).random(len(columns["label"])) < 0.95
        columns["views_level"] = np.where(tells, 1 + 9 * columns["label"], columns["views_level"])

    findings = found(World(change=giveaway), tmp_path, SUMS)
    assert warned(findings) == {"one_feature"}
    assert "views_level of the row" in findings["one_feature"]["sentence"]


def test_right_padded_histories_are_read_as_left_padded_ones(tmp_path: Path) -> None:
    """Conversion drops the padding, so none is attended to. Validation names such data: its rule `left-padding`."""

    def to_the_left(split: str, columns: Columns) -> None:
        del split
        history = columns["item_seq"]
        columns["item_seq"] = np.take_along_axis(history, np.argsort(history == 0, axis=1, kind="stable"), axis=1)

    left, right = found(World(), tmp_path / "left", SUMS), found(World(change=to_the_left), tmp_path / "right", SUMS)
    assert left == right
    assert right["attention_on_padding"]["observed"] == 0.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_good_runs_raise_nothing(tmp_path: Path, seed: int) -> None:
    findings = found(World(seed=seed), tmp_path, replace(SUMS, target_attention="relu", embedding_std=0.3))
    assert warned(findings) == set()
    assert findings["attention_even"]["observed"] < 0.95
    assert findings["attention_collapsed"]["observed"] is None  # this kind of attention is meant to pick few items


def test_a_ranker_without_attention_gets_the_checks_that_apply(tmp_path: Path) -> None:
    findings = found(World(), tmp_path, replace(SUMS, content=(), row_features=False), max_epochs=1)
    applies = {name for name, finding in findings.items() if finding["observed"] is not None}
    assert applies == {"test_below_valid", "valid_falls", "one_feature", "attention_on_padding"}
    assert findings["content_hurts"]["sentence"] == "Does not apply: this ranker uses no content."
