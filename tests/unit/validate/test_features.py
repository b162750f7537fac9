"""Validation of declared features: what is fitted, what is measured, and which data is refused."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import StepError
from components.schema.fitted import read_features
from components.storage.files import read_json
from components.validate.config import ValidatePolicy
from components.validate.step import validate
from tests.shop import BRANDS, FEATURES, write_shop
from tests.unit.validate.good_data import tables_judged_once

POLICY = ValidatePolicy(min_label_signal=0.0, min_coherence=0.0)


@pytest.fixture(scope="module", autouse=True)
def judged_once() -> Iterator[None]:
    with tables_judged_once():
        yield


def no_champion(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "champion.json").write_text(json.dumps({"version": None}))
    return folder


def validated(root: Path, dataset: Path, champion: Path | None = None) -> dict[str, Any]:
    return validate(dataset, champion or no_champion(root / "champion"), POLICY, root / "out")


def changed(dataset: Path, file: str, name: str, values: Any) -> None:
    table = pq.read_table(dataset / f"{file}.parquet")
    table = table.set_column(table.schema.get_field_index(name), name, pa.array(values, table.schema.field(name).type))
    pq.write_table(table, dataset / f"{file}.parquet")


def rule(verdict: dict[str, Any], name: str) -> dict[str, Any]:
    return next(rule for rule in verdict["rules"] if rule["name"] == name)


def test_features_are_fitted_on_train_alone(tmp_path: Path) -> None:
    dataset = write_shop(tmp_path / "data")
    changed(dataset, "valid", "device", ["television"] * 400)
    verdict = validated(tmp_path, dataset)
    assert verdict["passed"]
    features = {
        feature.name: feature
        for feature in (*read_features(tmp_path / "out").row, *read_features(tmp_path / "out").item)
    }
    action, time_gap = read_features(tmp_path / "out").event
    assert set(action.values) == {"click", "buy"}
    assert min(time_gap.edges) > 0, "what stands beside padding does not count"
    assert set(features["device"].values) == {"phone", "desktop"}
    assert set(features["brand"].values) == set(BRANDS)
    assert len(features["price"].edges) == 9
    ages = pq.read_table(dataset / "train.parquet")["age"].to_pandas()
    assert features["age"].mean == pytest.approx(ages.mean())
    known = rule(verdict, "features-known")
    assert not known["passed"]
    assert "device (row)" in json.dumps(known)
    counted = read_json(tmp_path / "out" / "statistics.json")["features"]
    assert counted["age (user)"]["missing"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("file", "name", "values", "failed", "words"),
    [
        ("train", "device", ["phone"] * 2000, "features-usable", "holds 'phone' and nothing else in train"),
        ("train", "device", [None] * 2000, "features-usable", "has no value in train"),
        ("train", "device", [str(n) for n in range(2000)], "features-usable", "no value comes 2 times in train"),
        ("train", "hour", [7] * 2000, "features-usable", "holds 7.0 and nothing else"),
        ("train", "age", [float("inf"), *[30.0] * 1999], "features-usable", "a value is inf; must be a finite number"),
        ("valid", "age", [float("inf"), *[30.0] * 399], "features-usable", "a value is inf; must be a finite number"),
        ("item_feature", "price", [None] * 59, "features-usable", "has no value in train"),
        ("item_feature", "look", [[1.0, 2.0, 3.0]] * 59, "features-usable", "holds 'one vector' and nothing else"),
        ("item_feature", "look", [[1.0]] + [[1.0, 2.0]] * 58, "features-usable", "must be a list of 1 finite numbers"),
        ("item_feature", "look", [[math.nan, 1.0]] * 59, "features-usable", "must be a list of 2 finite numbers"),
        ("train", "time_gap", [[1.0] * 8] * 2000, "features-usable", "holds 1.0 and nothing else"),
        ("train", "time_gap", [[1.0] * 7] * 2000, "features-usable", "7 values in row 0 of train, whose history has 8"),
        ("valid", "action", [None] * 400, "features-usable", "0 values in row 0 of valid, whose history has 8 items"),
    ],
)
def test_a_feature_that_can_not_be_learned_stops_the_run(
    file: str, name: str, values: list[Any], failed: str, words: str, tmp_path: Path
) -> None:
    dataset = write_shop(tmp_path / "data")
    changed(dataset, file, name, values)
    with pytest.raises(StepError, match=failed):
        validated(tmp_path, dataset)
    assert words in json.dumps(rule(read_json(tmp_path / "out" / "verdict.json"), failed))
    assert not (tmp_path / "out" / "features.json").exists()


def test_items_without_any_text_stop_the_run(tmp_path: Path) -> None:
    """Their other text, the description, is empty for some of them."""
    dataset = write_shop(tmp_path / "data")
    changed(dataset, "item_feature", "headline", [""] * 59)
    with pytest.raises(StepError, match="titles-filled: expected that items have a title, but 6 of 59 do not"):
        validated(tmp_path, dataset)


def test_an_item_feature_that_tells_the_labels_stops_the_run(tmp_path: Path) -> None:
    """Such as one that was made of later clicks: here the items that train and valid show as clicked."""
    dataset = write_shop(tmp_path / "data")
    assert {line["feature"] for line in validated(tmp_path, dataset)["features"] if "auc" in line} >= {"price (item)"}
    for split in ("train", "valid"):
        items = pq.read_table(dataset / f"{split}.parquet")["item_id"].to_pylist()
        changed(dataset, split, "label", [int(item % 2 == 0) for item in items])
    brands = ["liked" if item % 2 == 0 else "not liked" for item in range(1, 60)]
    changed(dataset, "item_feature", "brand", brands)
    with pytest.raises(StepError, match="no-giveaway"):
        validated(tmp_path, dataset)
    assert "brand (item)" in json.dumps(rule(read_json(tmp_path / "out" / "verdict.json"), "no-giveaway"))


def test_an_event_feature_whose_newest_value_tells_the_labels_stops_the_run(tmp_path: Path) -> None:
    dataset = write_shop(tmp_path / "data")
    for split in ("train", "valid"):
        table = pq.read_table(dataset / f"{split}.parquet")
        newest = [
            [*actions[:-1], "buy" if label else "click"]
            for actions, label in zip(table["action"].to_pylist(), table["label"].to_pylist(), strict=True)
        ]
        changed(dataset, split, "action", newest)
    with pytest.raises(StepError, match="no-giveaway"):
        validated(tmp_path, dataset)
    verdict = read_json(tmp_path / "out" / "verdict.json")
    assert "action (event)" in json.dumps(rule(verdict, "no-giveaway"))
    areas = {line["feature"]: line["auc"] for line in verdict["features"]}
    assert areas["action (event)"] == 1.0
    assert areas["time_gap (event)"] < 0.7


def added(dataset: Path, split: str, name: str, values: Any) -> None:
    path = dataset / f"{split}.parquet"
    pq.write_table(pq.read_table(path).append_column(name, pa.array(values)), path)


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, None])
def test_a_weight_that_is_not_positive_stops_the_run(wrong: float | None, tmp_path: Path) -> None:
    dataset = write_shop(tmp_path / "data")
    added(dataset, "train", "weight", [wrong, *[1.5] * 1999])
    with pytest.raises(StepError, match="weights-positive"):
        validated(tmp_path, dataset)


def test_rows_that_are_earlier_than_the_end_of_train_warn(tmp_path: Path) -> None:
    dataset = write_shop(tmp_path / "data")
    for split, rows, first in (("train", 2000, 0), ("valid", 400, 1900), ("test", 400, 3000)):
        added(dataset, split, "time", range(first, first + rows))
    order = rule(validated(tmp_path, dataset), "splits-in-time-order")
    assert (order["passed"], order["observed"]) == (False, pytest.approx(99 / 400))


def test_a_feature_that_is_the_label_in_disguise_stops_the_run(tmp_path: Path) -> None:
    dataset = write_shop(tmp_path / "data")
    for split in ("train", "valid"):
        labels = pq.read_table(dataset / f"{split}.parquet")["label"].to_pylist()
        changed(dataset, split, "device", ["seen" if label else "not seen" for label in labels])
    with pytest.raises(StepError, match="no-giveaway"):
        validated(tmp_path, dataset)


def test_a_column_that_is_filled_less_often_later_warns(tmp_path: Path) -> None:
    dataset = write_shop(tmp_path / "data")
    changed(dataset, "test", "age", [None] * 400)
    verdict = validated(tmp_path, dataset)
    assert verdict["passed"]
    assert not rule(verdict, "features-filled-alike")["passed"]


def champion_of(root: Path, dataset: Path) -> Path:
    """A champion whose package holds what validation learned from this data set."""
    champion = no_champion(root / "champion")
    validated(root, dataset)
    package = champion / "package"
    package.mkdir()
    for name in ("statistics.json", "features.json"):
        (package / name).write_bytes((root / "out" / name).read_bytes())
    (champion / "champion.json").write_text(json.dumps({"version": "1"}))
    return champion


def test_a_vocabulary_grows_and_keeps_its_codes(tmp_path: Path) -> None:
    """New values get codes at the end, and the champion's values keep theirs, also one that vanished."""
    champion = champion_of(tmp_path, write_shop(tmp_path / "before"))
    before = read_features(tmp_path / "out")
    dataset = write_shop(tmp_path / "data")
    devices = pq.read_table(dataset / "train.parquet")["device"].to_pylist()
    changed(dataset, "train", "device", [("watch" if row % 2 else value) for row, value in enumerate(devices)])
    changed(dataset, "item_feature", "brand", [("Acme", "Elm")[item % 2] for item in range(59)])
    policy = replace(POLICY, psi_stop=1e9)
    validate(dataset, champion, policy, tmp_path / "later")
    after = read_features(tmp_path / "later")
    assert after.row[0].values == (*before.row[0].values, "watch")
    brands = {feature.name: feature for feature in (*before.item, *after.item)}["brand"].values
    assert brands == (*{feature.name: feature for feature in before.item}["brand"].values, "Elm")
    raw = ["phone", "desktop", None, "watch"]
    assert (after.row[0].encode(raw)[:3] == before.row[0].encode(raw)[:3]).all()


def with_prices_times(factor: float, folder: Path) -> Path:
    dataset = write_shop(folder)
    changed(
        dataset, "item_feature", "price", np.array(pq.read_table(dataset / "item_feature.parquet")["price"]) * factor
    )
    return dataset


@pytest.mark.parametrize(("factor", "passed"), [(1.0, True), (1.7, False)])
def test_drift_is_measured_in_the_champions_codes(factor: float, passed: bool, tmp_path: Path) -> None:
    champion = champion_of(tmp_path, write_shop(tmp_path / "before"))
    verdict = validated(tmp_path, with_prices_times(factor, tmp_path / "data"), champion)
    drift = rule(verdict, "features-drift")
    assert (drift["passed"], drift["observed"] > 0.25) == (passed, not passed)


def test_a_feature_whose_values_are_all_others_now_stops_the_run(tmp_path: Path) -> None:
    champion = champion_of(tmp_path, write_shop(tmp_path / "before"))
    with pytest.raises(StepError, match="price"):
        validated(tmp_path, with_prices_times(100.0, tmp_path / "data"), champion)
    stopped = rule(json.loads((tmp_path / "out" / "verdict.json").read_text()), "features-break")
    assert (stopped["passed"], stopped["severity"]) == (False, "stop")


def test_the_challenges_layout_is_one_such_file(tmp_path: Path) -> None:
    """A column of levels needs no vocabulary: its values are its codes."""
    dataset = write_shop(
        tmp_path / "data",
        features=FEATURES.replace("kind: number, encoding: buckets, bins: 6", "kind: category, levels: 24"),
    )
    validated(tmp_path, dataset)
    hour = read_features(tmp_path / "out").row[1]
    assert (hour.levels, hour.codes, hour.values) == (24, 24, ())
    changed(dataset, "train", "hour", [24] * 2000)
    with pytest.raises(StepError, match="levels-range"):
        validated(tmp_path, dataset)
