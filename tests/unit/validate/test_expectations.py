"""Rules become expectations, and what Great Expectations found comes back as plain values."""

from typing import Any

import pandas as pd
import pytest

from components.validate.config import ValidatePolicy
from components.validate.expectations import Judgement, judge
from components.validate.measured import Measured
from components.validate.suite import Between, Rule
from components.validate.suite.rule import Check, Distinct, Empty, Filled

POLICY = ValidatePolicy(max_top_item=0.4, min_titles=0.5)
RULES: dict[str, Check] = {
    "inside": Between("share", low=0.2, high="max_top_item"),
    "no lower": Between("share", low=0.2),
    "no higher": Between("share", high="max_top_item"),
    "mostly inside": Between("share", low=0.2, high=0.4, mostly=0.5),
    "filled": Filled("title"),
    "mostly filled": Filled("title", mostly="min_titles"),
    "empty": Empty("problem"),
    "mostly empty": Empty("problem", mostly=0.75),
    "distinct": Distinct("number"),
    "broken": Between("many", high=0),
}
FRAME = pd.DataFrame(
    {
        "name": ["a", "b", "c", "d"],
        "share": [0.2, 0.4, 0.41, 0.1],
        "title": ["x", " ", "", "y z"],
        "problem": ["", "", "gone", ""],
        "number": [1, 2, 2, 3],
        "many": [7, 7, 7, 7],
    }
)


@pytest.fixture(scope="module")
def judged() -> dict[str, Judgement]:
    measured = Measured()
    measured.add("splits", "name", FRAME)
    measured.add("files", "file", pd.DataFrame({"file": range(30), "x": [1] * 30}))
    rules = [Rule(name, "splits", check, "stop", "it holds", "Because.") for name, check in RULES.items()]
    rules.append(Rule("many lines", "files", Between("x", high=0), "warn", "it holds", "Because."))
    found, version = judge(tuple(rules), measured, POLICY)
    assert version.count(".") == 2
    return found


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("inside", [{"name": "c", "value": 0.41}, {"name": "d", "value": 0.1}]),
        ("no lower", [{"name": "d", "value": 0.1}]),
        ("no higher", [{"name": "c", "value": 0.41}]),
        ("filled", [{"name": "b", "value": " "}, {"name": "c", "value": ""}]),
        ("empty", [{"name": "c", "value": "gone"}]),
        ("distinct", [{"name": "b", "value": 2}, {"name": "c", "value": 2}]),
    ],
)
def test_every_line_that_breaks_a_rule_comes_back(
    judged: dict[str, Judgement], name: str, lines: list[dict[str, Any]]
) -> None:
    found = judged[name]
    assert (found.success, found.checked, found.unexpected, found.lines) == (False, 4, len(lines), lines)


@pytest.mark.parametrize("name", ["mostly inside", "mostly filled", "mostly empty"])
def test_a_share_may_be_enough(judged: dict[str, Judgement], name: str) -> None:
    assert judged[name].success
    assert judged[name].unexpected > 0


def test_the_limits_are_those_of_the_policy(judged: dict[str, Judgement]) -> None:
    assert judged["inside"].limits == {"min_value": 0.2, "max_value": 0.4}
    assert judged["inside"].expectation == "expect_column_values_to_be_between"
    assert judged["mostly filled"].limits == {"mostly": 0.5, "regex": r"\S"}
    assert judged["distinct"].expectation == "expect_column_values_to_be_unique"


def test_twenty_lines_come_back_and_all_are_counted(judged: dict[str, Judgement]) -> None:
    found = judged["many lines"]
    assert (found.unexpected, len(found.lines), found.lines[0]) == (30, 20, {"file": 0, "value": 1})


def test_a_rule_that_cannot_be_computed_is_a_mistake_in_the_suite() -> None:
    measured = Measured()
    measured.add("splits", "name", FRAME)
    with pytest.raises(RuntimeError, match=r"^typo: .*shares"):
        judge((Rule("typo", "splits", Between("shares", high=0), "stop", "it holds", "Because."),), measured, POLICY)
