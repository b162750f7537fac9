"""How well one column alone ranks the rows, on rows whose labels follow from a chosen column."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from components.validate.measured import Measured
from components.validate.shortcuts import _error, _one_sided, measure_shortcuts
from components.validate.vectors import Vectors
from tests.unit.validate.small_data import Read, Row, lines_of, read

ITEMS = 30


def tags(item: int | None) -> list[int]:
    assert item is not None
    return [item % 5 + 1]


def some_rows(rows: int, seed: int = 1, history: int = 2) -> list[Row]:
    random = np.random.default_rng(seed)
    drawn = random.integers(1, ITEMS, size=(rows, 1 + history)).tolist()
    levels, labels = random.integers(1, 11, size=(rows, 2)).tolist(), random.integers(2, size=rows).tolist()
    users = (random.integers(40, size=rows) + 1).tolist()
    return [Row(users[i], drawn[i][0], tuple(drawn[i][1:]), labels[i], *levels[i]) for i in range(rows)]


def vectors() -> Vectors:
    made = Vectors("txt")
    made.add(np.arange(ITEMS), np.random.default_rng(2).normal(size=ITEMS * 8), np.full(ITEMS, 8))
    return made


def shortcuts(found: Read, content: list[Vectors] | None = None) -> Any:
    measured = Measured()
    train = found.sources["train"]
    measure_shortcuts(found.splits, train, found.catalogue, content or [], {}, measured)
    return measured


def baselines(folder: Path, content: list[Vectors] | None = None, **splits: Any) -> dict[str, dict[str, Any]]:
    found = read(folder, {item: tags(item) for item in range(1, ITEMS)}, **splits)
    return lines_of(shortcuts(found, content), "baselines")


def test_each_column_of_train_has_the_auc_that_scikit_learn_gives_it(tmp_path: Path) -> None:
    rows = some_rows(300)
    price = np.random.default_rng(3).normal(size=300)
    price[5] = np.nan
    extra = {"price": price, "flag": pa.array(price > 0), "name": ["x"] * 300, "stock": pa.array(np.arange(300) % 7)}
    lines = baselines(tmp_path, train=rows, extra=extra)
    labels = [row.label for row in rows]
    columns = {
        "likes_level": [row.likes for row in rows],
        "views_level": [row.views for row in rows],
        "user_id": [row.user for row in rows],
        "item_id": [row.item for row in rows],
        "history length": [2] * 300,
        "price": np.where(np.isnan(price), 0, price),
        "flag": price > 0,
        "stock": np.arange(300) % 7,
    }
    for name, values in columns.items():
        area = roc_auc_score(labels, values)
        assert lines[name]["auc"] == pytest.approx(area), name
        assert lines[name]["feature_auc"] == pytest.approx(max(area, 1 - area)), name
        assert lines[name]["on"] == "train"
    assert "name" not in lines, "a text has no AUC"
    area = roc_auc_score(labels, np.arange(300))
    assert lines["row order"]["row_order_auc"] == pytest.approx(max(area, 1 - area))


def test_at_most_64_extra_columns_are_measured_and_the_rest_is_said(tmp_path: Path) -> None:
    extra = {f"column {number}": pa.array(np.arange(20) % (number + 2)) for number in range(66)}
    lines = baselines(tmp_path, train=some_rows(20), extra=extra)
    assert sum(name.startswith("column") for name in lines) == 64
    assert "2 more extra columns: not measured" in lines


def test_the_click_rate_of_an_item_is_trains_and_starts_as_ten_shows(tmp_path: Path) -> None:
    train, valid = some_rows(200, seed=4), some_rows(100, seed=5)
    lines = baselines(tmp_path, train=train, valid=valid)
    mean = np.mean([row.label for row in train])
    rates = []
    for row in valid:
        shown = [other.label for other in train if other.item == row.item]
        rates.append((sum(shown) + 10 * mean) / (len(shown) + 10))
    area = roc_auc_score([row.label for row in valid], rates)
    assert lines["item click rate"]["item_ctr_auc"] == lines["item click rate"]["auc"] == pytest.approx(area)
    assert lines["item click rate"]["on"] == "valid"


def test_the_likeness_of_a_target_to_its_history_is_a_mean_over_clicks(tmp_path: Path) -> None:
    rows, content = some_rows(300, seed=6), vectors()
    lines = baselines(tmp_path, [content], train=rows)
    labels = [row.label for row in rows]
    shared = [np.mean([other != row.item and tags(other) == tags(row.item) for other in row.history]) for row in rows]
    assert lines["likeness of tags to the history, train"]["auc"] == pytest.approx(roc_auc_score(labels, shared))
    cosines = [content.similarity(np.array(row.history), np.full(len(row.history), row.item)).mean() for row in rows]
    assert lines["likeness of txt to the history, train"]["auc"] == pytest.approx(roc_auc_score(labels, cosines))
    levels = [row.likes + row.views for row in rows]
    assert lines["levels, train"]["auc"] == pytest.approx(roc_auc_score(labels, levels))


def test_rows_without_a_click_have_no_likeness(tmp_path: Path) -> None:
    rows = some_rows(100, seed=6)
    mute = [Row(row.user, row.item, (), 1) for row in some_rows(50, seed=7)]
    apart, together = (
        baselines(tmp_path, train=train)["likeness of tags to the history, train"] for train in (rows, mute + rows)
    )
    assert together["auc"] == apart["auc"]


@pytest.mark.parametrize(("rows", "judged"), [(860, True), (800, False)], ids=["error below 0.02", "error above 0.02"])
def test_labels_are_judged_in_standard_errors_where_there_are_rows_enough(
    tmp_path: Path, rows: int, judged: bool
) -> None:
    """Half of the rows are clicks, and the levels rank 0.1 above chance, downwards."""
    random = np.random.default_rng(8)
    label = np.arange(rows) % 2
    levels = np.where(random.random(rows) < 0.2, 10 - 9 * label, random.integers(1, 11, rows))
    made = [Row(1, 1, (), int(label[i]), int(levels[i]), 1) for i in range(rows)]
    lines = baselines(tmp_path, train=made)
    area = roc_auc_score(label, levels)
    assert area < 0.45
    error = np.sqrt((rows + 1) / (12 * (rows / 2) ** 2))
    found = lines["labels of train"].get("label_signal")
    assert found == (pytest.approx((0.5 - area) / error) if judged else None)


@pytest.mark.parametrize(("clicks", "rows"), [(3, 7), (1, 4), (4, 6)])
def test_the_standard_error_is_that_over_all_orders(clicks: int, rows: int) -> None:
    labels = np.array([1] * clicks + [0] * (rows - clicks), np.int8)
    areas = []
    for chosen in combinations(range(rows), clicks):
        truth = np.isin(np.arange(rows), chosen)
        areas.append(roc_auc_score(truth, np.arange(rows)))
    assert _error(labels) == pytest.approx(np.std(areas))
    assert _error(np.ones(3, np.int8)) == _error(np.zeros(3, np.int8)) == np.inf


def one_sided(folder: Path, labels_of_users: list[list[int]]) -> float:
    rows = [Row(user, 1, (), label) for user, labels in enumerate(labels_of_users, 1) for label in labels]
    return _one_sided(read(folder, {1: [1]}, train=rows).splits["train"])


def test_users_with_one_label_only_are_held_against_chance(tmp_path: Path) -> None:
    """One click in three. Of two rows, chance makes (1/3)² + (2/3)² one-sided; of three, (1/3)³ + (2/3)³."""
    found = one_sided(tmp_path, [[0, 0], [1, 1], [0, 1, 0], [0], [0]])
    chance = (2 * ((1 / 3) ** 2 + (2 / 3) ** 2) + (1 / 3) ** 3 + (2 / 3) ** 3) / 3
    assert found == pytest.approx((2 / 3 - chance) / (1 - chance))
    assert one_sided(tmp_path, [[0, 0], [1, 1], [0, 0, 0]]) == pytest.approx(1.0)
    assert one_sided(tmp_path, [[0, 1], [0, 1]]) == 0.0, "fewer than chance gives is no sign of anything"
    assert np.isnan(one_sided(tmp_path, [[0], [1]]))


@pytest.mark.parametrize("why", ["no train", "no labels", "clicks alone"])
def test_without_both_labels_in_train_there_is_no_baseline(tmp_path: Path, why: str) -> None:
    rows = [Row(row.user, row.item, row.history, 1) for row in some_rows(20)]
    if why == "no train":
        found = read(tmp_path, {1: [1]}, valid=some_rows(20))
    else:
        found = read(tmp_path, {1: [1]}, ("train",) if why == "no labels" else (), train=rows)
    measured = shortcuts(found)
    assert measured.absent == {"baselines": "train has no readable labels of both kinds"}


@pytest.mark.parametrize("label", [0, 1])
def test_a_split_with_one_label_has_no_click_rate_baseline(tmp_path: Path, label: int) -> None:
    valid = [Row(row.user, row.item, row.history, label) for row in some_rows(20)]
    lines = baselines(tmp_path, train=some_rows(40, seed=2), valid=valid)
    assert "item click rate" not in lines
    assert "labels of valid" not in lines
