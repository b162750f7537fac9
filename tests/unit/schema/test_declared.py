"""features.yaml: what it may hold, and that each wrong one is refused in one clear line."""

from pathlib import Path

import pytest

from components.dataset.footers import check_footers
from components.errors import StepError
from components.schema.challenge import CHALLENGE
from components.schema.declared import CHALLENGE_SCHEMA, read_schema
from components.schema.fit import fit_feature
from tests.shop import write_shop


def written(folder: Path, text: str) -> Path:
    (folder / "features.yaml").write_text(text)
    return folder


def test_each_part_of_a_data_set_has_its_features(tmp_path: Path) -> None:
    schema = read_schema(write_shop(tmp_path))
    assert [feature.name for feature in schema.row] == ["device", "hour", "age"]
    assert [feature.name for feature in schema.event] == ["action", "time_gap"]
    assert [feature.name for feature in schema.item] == ["price", "brand", "materials", "look"]
    assert schema.texts == ("headline", "description")
    check_footers(tmp_path)


def test_without_the_file_a_data_set_has_the_challenges_features(tmp_path: Path) -> None:
    assert read_schema(tmp_path) is CHALLENGE_SCHEMA
    assert tuple(fit_feature(feature, ()) for feature in CHALLENGE_SCHEMA.row) == CHALLENGE.row
    assert tuple(fit_feature(feature, ()) for feature in CHALLENGE_SCHEMA.item) == CHALLENGE.item


def one(fields: str) -> str:
    return f"features: [{{{fields}}}]"


WRONG = {
    "no YAML": ("features: [", "features.yaml is no YAML: while parsing"),
    "empty": ("", "must hold the key `features` with a list of features, and may hold the key `log`; found None"),
    "a list": ("- 1", "must hold the key `features` with a list of features, and may hold the key `log`; found [1]"),
    "another key": (
        "feature: []",
        "must hold the key `features` with a list of features, and may hold the key `log`; found the keys feature",
    ),
    "no list": (
        "features: 5",
        "must hold the key `features` with a list of features, and may hold the key `log`; found the keys features",
    ),
    "a log that is a text": ("features: []\nlog: clicks", "log = 'clicks'; must be a mapping such as"),
    "an unknown role": ("features: []\nlog: {who: u}", "log has the field 'who'; it can have user, item, time, label"),
    "a role without a column": ("features: []\nlog: {user: 5}", "log.user = 5; must be the name of a column"),
    "no user": ("features: []\nlog: {item: i, time: t}", "log.user is missing; must be the name of the column with"),
    "two roles, one column": (
        "features: []\nlog: {user: u, item: i, time: t, label: t}",
        "log.label = 't', and so is log.time; each needs a column of its own",
    ),
    "a text": ("features: [price]", "feature 1 is 'price'; must be a mapping with name, of and kind"),
    "no name": (one("of: row, kind: number"), "feature '1': name = None; must be the name of a column"),
    "a blank name": (one("name: ' ', of: row, kind: number"), "name = ' '; must be the name of a column"),
    "a number as a name": (one("name: 5, of: row, kind: number"), "name = 5; must be the name of a column"),
    "a reserved name": (one("name: label, of: row, kind: number"), "'label': name = 'label'; must be another column"),
    "no place": (one("name: price, kind: number"), "'price': of = None; must be one of row, user, item"),
    "a wrong place": (one("name: price, of: shop, kind: number"), "of = 'shop'; must be one of row, user, item"),
    "no kind": (one("name: price, of: item"), "kind = None; must be one of category, categories, number"),
    "a wrong kind": (one("name: price, of: item, kind: float"), "kind = 'float'; must be one of category, categories"),
    "a list as a kind": (one("name: price, of: item, kind: [number]"), "kind = ['number']; must be one of category"),
    "an unknown field": (
        one("name: price, of: item, kind: number, scale: log"),
        "'price' has the field 'scale'; a number of an item can have name, of, kind, encoding, bins, place",
    ),
    "another kind's field": (one("name: price, of: item, kind: number, min_count: 3"), "has the field 'min_count'"),
    "a row with a place": (one("name: hour, of: row, kind: number, place: both"), "has the field 'place'; a number of"),
    "a wrong encoding": (one("name: hour, of: row, kind: number, encoding: log"), "must be one of piecewise, buckets"),
    "one bin": (one("name: hour, of: row, kind: number, bins: 1"), "bins = 1; must be a whole number from 2 to 100"),
    "half a bin": (one("name: hour, of: row, kind: number, bins: 2.5"), "bins = 2.5; must be a whole number"),
    "true bins": (one("name: hour, of: row, kind: number, bins: true"), "bins = True; must be a whole number"),
    "no bucket": (
        one("name: brand, of: item, kind: category, buckets: 0"),
        "buckets = 0; must be a whole number from 1",
    ),
    "a text as a count": (one("name: brand, of: item, kind: category, min_count: '3'"), "min_count = '3'; must be"),
    "no value": (
        one("name: tags, of: item, kind: categories, max_values: 0"),
        "max_values = 0; must be a whole number",
    ),
    "one level": (one("name: star, of: item, kind: category, levels: 1"), "levels = 1; must be a whole number from 2"),
    "levels and a count": (
        one("name: star, of: item, kind: category, levels: 5, min_count: 2"),
        "levels = 5; must be alone: levels have no vocabulary",
    ),
    "a wrong side": (one("name: brand, of: item, kind: category, place: left"), "must be one of both, history, target"),
    "the time as a feature": (
        one("name: time, of: row, kind: number"),
        "'time': name = 'time'; must be another column: in the splits this is the time of each row",
    ),
    "a text of a row": (
        one("name: query, of: row, kind: text"),
        "'query': of = 'row'; must be item, because it is a text",
    ),
    "an image of a user": (
        one("name: face, of: user, kind: image"),
        "'face': of = 'user'; must be item, because it is an image",
    ),
    "two images": (
        "features: [{name: front, of: item, kind: image}, {name: back, of: item, kind: image}]",
        "'back': kind = 'image'; must be declared once: 'front' is the picture in item_images already",
    ),
    "a text with a place": (
        one("name: story, of: item, kind: text, place: target"),
        "'story' has the field 'place'; a text of an item can have name, of, kind",
    ),
    "bins of a vector": (
        one("name: look, of: item, kind: vector, bins: 4"),
        "'look' has the field 'bins'; a vector of an item can have name, of, kind, place",
    ),
    "a vector of an event": (
        one("name: look, of: event, kind: vector"),
        "kind = 'vector'; must be one of category, number, because it is of an event",
    ),
    "a title that is a number": (
        one("name: item_title, of: item, kind: number"),
        "'item_title': name = 'item_title'; must be another column",
    ),
    "several values at an event": (
        one("name: marks, of: event, kind: categories"),
        "'marks': kind = 'categories'; must be one of category, number, because it is of an event",
    ),
    "an event with a place": (
        one("name: gap, of: event, kind: number, place: both"),
        "has the field 'place'; a number of an event can have name, of, kind, encoding, bins",
    ),
    "levels of an event": (
        one("name: star, of: event, kind: category, levels: 1"),
        "levels = 1; must be a whole number from 2",
    ),
    "twice": (
        "features: [{name: age, of: row, kind: number}, {name: age, of: user, kind: number}]",
        "'age': name = 'age'; must be declared once in each file",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_in_one_clear_line(case: str, tmp_path: Path) -> None:
    text, words = WRONG[case]
    with pytest.raises(StepError) as caught:
        read_schema(written(tmp_path, text))
    assert words in str(caught.value)
    assert str(caught.value).startswith("features.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            "name: colour, of: item, kind: category",
            r"item_feature\.parquet lacks the column colour \(an integer or a text\)",
        ),
        ("name: device, of: row, kind: number", r"train\.parquet: device is string, must be a number"),
        ("name: story, of: item, kind: text", r"item_feature\.parquet lacks the column story \(a text\)"),
        ("name: price, of: item, kind: text", "price is double, must be a text"),
        ("name: brand, of: item, kind: vector", "brand is string, must be a list of numbers"),
        ("name: price, of: item, kind: number", r"item_feature\.parquet lacks the column item_title \(a text\)"),
        ("name: hour, of: event, kind: number", "hour is int64, must be a list of numbers"),
        (
            "name: time_gap, of: event, kind: category",
            "time_gap is list<.*double>, must be a list of integers or texts",
        ),
        ("name: hour, of: row, kind: categories", "hour is int64, must be a list of integers or texts"),
        ("name: price, of: item, kind: category", "price is double, must be an integer or a text"),
        ("name: device, of: row, kind: category, levels: 4", "device is string, must be an integer"),
    ],
)
def test_columns_that_are_not_as_declared_are_named(fields: str, words: str, tmp_path: Path) -> None:
    write_shop(tmp_path, features=one(fields))
    with pytest.raises(StepError, match=words):
        check_footers(tmp_path)
