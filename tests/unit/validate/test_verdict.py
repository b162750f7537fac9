"""From judgements to a verdict: what stops, what is said, and what a person can do."""

from typing import Any

import pandas as pd
import pytest

from components.validate.config import ValidatePolicy
from components.validate.expectations import Judgement
from components.validate.measured import Measured
from components.validate.suite import Between, Rule
from components.validate.suite.rule import Distinct, Empty, Filled
from components.validate.verdict import compile_verdict, limit_in_words, outcome, stop_message

POLICY = ValidatePolicy(max_top_item=0.4, examples=2)
TOP = Rule("items-vary", "splits", Between("top_item_share", high="max_top_item"), "stop", "items vary", "Because.")
ROWS = Rule("rows-distinct", "rows", Between("duplicate", high=0), "quarantine", "rows differ", "Because.")


def judgement(*lines: dict[str, Any], unexpected: int | None = None, checked: int = 3) -> Judgement:
    count = len(lines) if unexpected is None else unexpected
    return Judgement(not count, "expect_it", {}, checked, count, list(lines))


def measured(table: str = "splits", **columns: Any) -> Measured:
    found = Measured()
    found.tables[table], found.keys[table] = pd.DataFrame(columns), "split"
    return found


def test_a_rule_that_holds_says_what_holds_and_how_near_the_limit_is() -> None:
    found = outcome(TOP, judgement(), measured(split=["train", "test"], top_item_share=[0.1, 0.3]), POLICY)
    assert found == {
        "name": "items-vary",
        "table": "splits",
        "severity": "stop",
        "what": "items vary",
        "why": "Because.",
        "limit": "<= 0.4 (max_top_item)",
        "passed": True,
        "not_measured": "",
        "observed": 0.3,
        "count": 0,
        "examples": [],
        "message": "items-vary: items vary",
        "expectation": "expect_it",
    }


def test_a_rule_that_fails_names_the_line_and_the_limit() -> None:
    lines = [{"split": "test", "value": 0.512345}]
    found = outcome(TOP, judgement(*lines), measured(split=["test"], top_item_share=[0.512345]), POLICY)
    assert not found["passed"]
    assert (found["observed"], found["count"], found["examples"]) == (0.512345, 1, lines)
    assert found["message"] == (
        "items-vary: expected that items vary, but the top item share is not <= 0.4 (max_top_item) (test: 0.5123)"
    )


def test_a_rule_without_a_measurement_passes_and_says_why() -> None:
    empty = Measured()
    empty.missing("splits", "no split could be read")
    found = outcome(TOP, None, empty, POLICY)
    assert (found["passed"], found["not_measured"], found["observed"]) == (True, "no split could be read", None)
    assert (found["count"], found["examples"], found["expectation"]) == (0, [], "")
    assert found["message"] == "items-vary: not measured, because no split could be read"


@pytest.mark.parametrize(
    ("check", "lines", "values", "observed"),
    [
        (Between("x", low=1.0), [], [3.0, 2.0], 2.0),
        (Between("x", high=9.0), [], [3.0, 2.0], 3.0),
        (Between("x", low=0.0, high=9.0), [], [3.0, 2.0], 3.0),
        (Between("x", low=1.0), [0.5, 0.2], [0.5, 0.2, 7.0], 0.2),
        (Between("x", high=1.0), [4.0, 5.0], [0.0, 4.0, 5.0], 5.0),
        (Between("x", high=1.0), [], [0.5, None], 0.5),
        (Distinct("x"), [], [1.0, 2.0], None),
    ],
)
def test_observed_is_the_value_that_breaks_the_rule_or_is_nearest_to_it(
    check: Any, lines: list[float], values: list[float | None], observed: float | None
) -> None:
    rule = Rule("a-rule", "splits", check, "stop", "it holds", "Because.")
    found = judgement(*({"split": "a", "value": value} for value in lines))
    assert outcome(rule, found, measured(x=values), POLICY)["observed"] == observed


@pytest.mark.parametrize(("count", "words"), [(1, "1 row does not"), (2, "2 rows do not"), (1234, "1,234 rows do not")])
def test_rows_are_counted_over_all_row_groups(count: int, words: str) -> None:
    table = measured("rows", part=["a", "b"], duplicate=[count - 1, 1])
    table.counts["rows.duplicate"] = count
    table.examples["rows.duplicate"] = [{"row": 1}, {"row": 2}, {"row": 3}]
    found = outcome(ROWS, judgement({"part": "train, row group 0", "value": 5}), table, POLICY)
    assert (found["count"], found["observed"], found["examples"]) == (count, count, [{"row": 1}, {"row": 2}])
    assert found["message"].endswith(f"but {words} (train, row group 0: 5)")


def test_examples_are_shown_only_where_something_is_wrong() -> None:
    table = measured("rows", duplicate=[0])
    table.examples["rows.duplicate"] = [{"row": 1}]
    assert outcome(ROWS, judgement(), table, POLICY)["examples"] == []


@pytest.mark.parametrize("table", ["items", "images"])
def test_items_are_counted_of_those_that_were_checked_and_three_are_named(table: str) -> None:
    rule = Rule("titles", table, Filled("title", mostly="min_titles"), "stop", "items have titles", "Because.")
    lines = [{"item_id": item, "value": "x" * 301} for item in range(4)]
    found = outcome(rule, judgement(*lines, unexpected=1200, checked=5000), measured(table, title=[""]), POLICY)
    short = "x" * 300 + "…"
    named = "; ".join(f"item {item}: {short}" for item in range(3))
    assert found["message"] == (
        "titles: expected that items have titles, but 1,200 of 5,000 do not "
        f"({named}; and 1197 more); allowed: for a share >= 0.98 (min_titles)"
    )


def test_what_a_measurement_wrote_is_quoted() -> None:
    rule = Rule("files", "files", Empty("problem"), "stop", "files are whole", "Because.")
    found = outcome(
        rule, judgement({"file": "train", "value": "broken"}), measured("files", problem=["broken"]), POLICY
    )
    assert found["message"] == "files: expected that files are whole, but this was found: train: broken"


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (Between("x", low=2), ">= 2"),
        (Between("x", low=2, high="max_top_item"), ">= 2 and <= 0.4 (max_top_item)"),
        (Between("x", high=1e-7, mostly=0.5), "<= 1e-07 and for a share >= 0.5"),
        (Between("x", high=0, mostly=1.0), "<= 0"),
        (Filled("x", mostly="min_titles"), "for a share >= 0.98 (min_titles)"),
        (Filled("x"), "not blank"),
        (Distinct("x"), "no value twice"),
        (Empty("x"), "none"),
    ],
)
def test_a_limit_is_said_with_its_field(check: Any, words: str) -> None:
    assert limit_in_words(Rule("a-rule", "t", check, "stop", "w", "W."), POLICY) == words


def broken(name: str, severity: str, passed: bool = False) -> dict[str, Any]:
    return {"name": name, "severity": severity, "passed": passed, "message": f"{name}: broken"}


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([], "clean"),
        ([broken("a", "stop", passed=True)], "clean"),
        ([broken("a", "warn")], "warned"),
        ([broken("a", "warn"), broken("b", "quarantine")], "quarantined"),
        ([broken("a", "stop"), broken("b", "quarantine"), broken("c", "warn")], "stopped"),
    ],
)
def test_the_worst_rule_decides(outcomes: list[dict[str, Any]], status: str) -> None:
    assert compile_verdict(outcomes, {"train": 3}, "1.2.3") == {
        "passed": status != "stopped",
        "status": status,
        "rules": outcomes,
        "quarantined": {"train": 3},
        "great_expectations": "1.2.3",
    }


def test_the_message_names_what_stops_and_then_what_is_moved_aside() -> None:
    rules = [broken("b", "quarantine"), broken("a", "stop"), broken("c", "warn"), broken("d", "stop", passed=True)]
    assert stop_message({"rules": rules}).splitlines() == [
        "the data breaks a rule that stops a run:",
        "  a: broken",
        "  b: broken",
        "Examples are in verdict.json and data_docs.html.",
        "Mend the data and commit a new revision. A limit that is wrong for this data is set with "
        "--set validate.<field>=<value>; to run in spite of it: --set validate.severities=a=warn",
    ]


def test_two_rules_that_stop_are_counted() -> None:
    message = stop_message({"rules": [broken("a", "stop"), broken("users-apart", "stop")]})
    assert message.startswith("the data breaks 2 rules that stop a run:\n")
    assert message.endswith("click items again in this log: --set validate.users=returning")
    assert "severities=a=warn --set validate.severities=users-apart=warn" in message


def test_data_that_training_refuses_has_one_remedy() -> None:
    message = stop_message({"rules": [broken("users-apart", "stop"), broken("no-nulls", "stop")]})
    assert message.endswith("training can't run on data that breaks no-nulls.")
    assert "--set" not in message
