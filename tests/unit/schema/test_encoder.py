"""Raw values become the same codes wherever they come from, and a value that fits nothing is named."""

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.schema.challenge import CHALLENGE
from components.schema.encoder import Encoder, FeatureError, FittedFeature
from components.schema.fitted import raw_column

DEVICE = FittedFeature("device", "category", values=("phone", "7"))
SHARED = FittedFeature("brand", "category", values=("acme",), buckets=4)
COLOURS = FittedFeature("colours", "categories", values=("red", "blue"), width=2)
PRICE = FittedFeature("price", "number", encoding="piecewise", edges=(0.0, 10.0, 30.0))
RATING = FittedFeature("rating", "number", encoding="standardised", mean=3.0, deviation=2.0)
HOUR = FittedFeature("hour", "number", encoding="buckets", edges=(6.0, 12.0))
LOOK = FittedFeature("look", "vector", width=2, centre=(1.0, 0.0), deviation=2.0)
ACTION = FittedFeature("action", "category", of="event", values=("buy",))
GAP = FittedFeature("gap", "number", of="event", encoding="standardised")
SHOP = Encoder(row=(DEVICE, COLOURS, PRICE, HOUR), item=(SHARED, RATING, LOOK), event=(ACTION, GAP))


def test_levels_are_their_own_codes() -> None:
    codes, numbers = CHALLENGE.rows({"likes_level": np.array([0, 10, 3]), "views_level": [1, 2, 3]}, 3)
    assert codes.tolist() == [[0, 1], [10, 2], [3, 3]]
    assert numbers.shape == (3, 0)


@pytest.mark.parametrize("values", [["phone", 7, None, "watch", 7.0, "7"], np.array([7, 7])], ids=["mixed", "numbers"])
def test_a_category_has_a_code_for_missing_and_one_for_unknown(values: Any) -> None:
    expected = [[2], [3], [0], [1], [3], [3]] if isinstance(values, list) else [[3], [3]]
    assert DEVICE.encode(values).tolist() == expected
    assert DEVICE.codes == 4


def test_unknown_values_share_buckets_by_hash_and_keep_theirs() -> None:
    codes = SHARED.encode([f"other {n}" for n in range(200)])[:, 0]
    assert set(codes.tolist()) == {1, 2, 3, 4}
    assert SHARED.encode(["other 5", "acme"]).tolist() == [[int(codes[5])], [5]]


def test_several_values_come_in_their_order_each_once() -> None:
    values = [["blue", "red", "green"], ["blue", "blue"], [], None]
    assert COLOURS.encode(values).tolist() == [[3, 2], [3, 0], [0, 0], [0, 0]]


def test_numbers() -> None:
    np.testing.assert_allclose(PRICE.encode([-5, 5, 20, 99, None]), [0, 0.5, 1.5, 2, np.nan])
    np.testing.assert_allclose(RATING.encode(np.array([3.0, 7.0, np.nan])), [0, 2, np.nan])
    assert HOUR.encode([None, 0, 6, 23]).tolist() == [[0], [1], [2], [3]]
    assert (PRICE.codes, PRICE.bins, RATING.bins, HOUR.codes) == (0, 2, 0, 4)


def test_features_stand_side_by_side_in_their_order() -> None:
    raw: dict[str, Any] = {"device": ["phone"], "colours": [["red"]], "price": [5], "hour": [6]}
    codes, numbers = SHOP.rows(raw, 1)
    assert codes.tolist() == [[2, 2, 0, 2]]
    assert numbers.tolist() == [[0.5]]


@pytest.mark.parametrize(
    "values", [[[3, 0.0], [1.0, -4.0]], np.array([[3.0, 0.0], [1.0, -4.0]])], ids=["lists", "array"]
)
def test_a_vector_is_centred_and_scaled_as_a_whole(values: Any) -> None:
    np.testing.assert_allclose(LOOK.encode(values), [[1, 0], [0, -2]])


def test_a_missing_vector_is_missing_as_a_whole() -> None:
    np.testing.assert_allclose(np.asarray(LOOK.encode([None, [1.0, 2.0]]), float), [[np.nan, np.nan], [0.0, 1.0]])
    column = pa.chunked_array(
        [pa.array([None, [1.0, 2.0]], pa.list_(pa.float32())), pa.array([[3.0, 0.0]], pa.list_(pa.float32()))]
    )
    found = np.asarray(LOOK.encode(raw_column(column)), float)
    np.testing.assert_allclose(found, [[np.nan, np.nan], [0.0, 1.0], [1.0, 0.0]])
    assert isinstance(raw_column(column.slice(1)), np.ndarray)


def test_numbers_and_vectors_stand_side_by_side() -> None:
    codes, numbers = SHOP.items({"brand": ["acme"], "rating": [3.0], "look": [[1.0, 4.0]]}, 1)
    assert (codes.tolist(), numbers.tolist()) == ([[5]], [[0, 0, 2]])
    assert [block.shape for block in SHOP.items({"brand": [], "rating": [], "look": []}, 0)] == [(0, 1), (0, 3)]


def test_what_stands_beside_padding_is_no_event() -> None:
    columns: dict[str, Any] = {
        "action": [["?", "buy", None], None, ["sell"]],
        "gap": [[math.inf, 1.0, None], [], [2.0]],
    }
    codes, numbers = SHOP.events(columns, [[0, 5, 6], [], [7]])
    assert codes.tolist() == [[2], [0], [1]]
    np.testing.assert_array_equal(numbers, [[1], [np.nan], [2]])


@pytest.mark.parametrize(
    ("action", "gap", "message"),
    [
        (
            [["buy"], ["buy"]],
            [[1.0], [2.0, 3.0]],
            r"gap, row 1: \[2.0, 3.0\]; must be a list with a value for each of the 1",
        ),
        ([["buy"], "buy"], [[1.0], [2.0]], "action, row 1: 'buy'; must be a list with a value for each of the 1 items"),
        ([["buy"], [0.5]], [[1.0], [2.0]], "action, row 1: 0.5; must be a text or a whole number, or missing"),
        ([["buy"], None], [[1.0], [2.0]], "action, row 1: None; must be a list with a value for each of the 1 items"),
    ],
)
def test_an_event_that_does_not_fit_is_named_by_its_row(action: Any, gap: Any, message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        SHOP.events({"action": action, "gap": gap}, [[5], [6]])


def test_what_was_saved_encodes_alike() -> None:
    assert Encoder.from_json(json.loads(json.dumps(SHOP.to_json()))) == SHOP
    with pytest.raises(ValueError, match="have format 9, this version reads 1"):
        Encoder.from_json({"format": 9})


@pytest.mark.parametrize(
    ("feature", "values", "message"),
    [
        (CHALLENGE.row[0], [3, 11], "likes_level, row 1: 11; must be a whole number from 0 to 10"),
        (CHALLENGE.row[0], np.array([3, 3, -1]), "likes_level, row 2: -1; must be a whole number from 0 to 10"),
        (CHALLENGE.row[0], ["3"], "likes_level, row 0: '3'; must be a whole number"),
        (CHALLENGE.row[0], [None], "likes_level, row 0: None; must be a whole number"),
        (DEVICE, ["phone", 1.5], "device, row 1: 1.5; must be a text or a whole number, or missing"),
        (DEVICE, [["phone"]], r"device, row 0: \['phone'\]; must be a text or a whole number"),
        (COLOURS, ["red"], "colours, row 0: 'red'; must be a list of texts or whole numbers"),
        (COLOURS, [["red", 0.5]], "colours, row 0: 0.5; must be a text or a whole number"),
        (LOOK, [[1.0, 2.0], [1.0]], r"look, row 1: \[1.0\]; must be a list of 2 finite numbers, or missing"),
        (LOOK, [[1.0, "2"]], r"look, row 0: \[1.0, '2'\]; must be a list of 2 finite numbers"),
        (LOOK, [[1.0, True]], r"look, row 0: \[1.0, True\]; must be a list of 2 finite numbers"),
        (LOOK, ["long"], "look, row 0: 'long'; must be a list of 2 finite numbers"),
        (LOOK, np.array([[1.0, np.inf]]), "look, row 0: .*inf.*; must be a list of 2 finite numbers"),
        (PRICE, ["dear"], "price, row 0: 'dear'; must be a number, or missing"),
        (PRICE, [1.0, float("inf")], "price, row 1: inf; must be a finite number, or missing"),
    ],
)
def test_a_value_that_does_not_fit_is_named(feature: FittedFeature, values: Any, message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        feature.encode(values)
