"""Proof by mutation: each accident stops the real step, by the rule meant for it, with a message that names it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from markupsafe import escape

from components.errors import StepError
from components.storage.files import read_json
from components.validate.config import ValidatePolicy
from components.validate.step import validate
from components.validate.suite import BY_NAME, RULES
from tests.unit.validate.accidents import ACCIDENTS, Accident
from tests.unit.validate.good_data import Good, tables_judged_once, write_all

pytestmark = pytest.mark.integration
# Rules that no accident above is meant for, because they warn: test_step.py shows each of them.
_WARN = {rule.name for rule in RULES if rule.severity == "warn"}


@pytest.fixture(scope="module", autouse=True)
def judged_once() -> Iterator[None]:
    with tables_judged_once():
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return write_all(tmp_path_factory.mktemp("good"))


def test_good_data_passes_with_no_warning_and_every_rule_measured(good: Good, tmp_path: Path) -> None:
    verdict = validate(good.data, good.champion, ValidatePolicy(), tmp_path)
    assert verdict["status"] == "clean"
    assert verdict["quarantined"] == {"train": 0, "valid": 0, "test": 0}
    assert [rule["name"] for rule in verdict["rules"] if not rule["passed"] or rule["count"]] == []
    # No rule may pass because it was not measured. The sample's levels are those of its items, not of the moment of the
    # click, so `levels-follow` does not apply; its splits share no user, so `future-apart` has nothing to look at;
    # and it declares no features of its own, and has neither weights nor times.
    declared = {name for name in BY_NAME if name.startswith("features-")}
    assert {rule["name"] for rule in verdict["rules"] if rule["not_measured"]} == {
        "levels-follow",
        "future-apart",
        "weights-positive",
        "splits-in-time-order",
        *declared,
    }


@pytest.mark.parametrize("accident", ACCIDENTS, ids=lambda accident: accident.name)
def test_accident_is_caught(accident: Accident, good: Good, tmp_path: Path) -> None:
    shutil.copytree(good.data, tmp_path / "data")
    accident.damage(tmp_path / "data")
    out = tmp_path / "out"
    with pytest.raises(StepError) as stopped:
        validate(tmp_path / "data", good.champion if accident.champion else good.no_champion, ValidatePolicy(), out)
    rules = {rule["name"]: rule for rule in read_json(out / "verdict.json")["rules"]}
    caught = rules[accident.rule]
    assert not caught["passed"], [rule["message"] for rule in rules.values() if not rule["passed"]]
    assert accident.words in caught["message"]
    assert caught["message"] in str(stopped.value)
    assert escape(caught["message"]) in (out / "data_docs.html").read_text()
    assert (out / "statistics.json").is_file()
    assert (out / "quarantine.json").is_file()


def test_every_rule_that_stops_has_an_accident() -> None:
    meant = {accident.rule for accident in ACCIDENTS}
    assert meant <= set(BY_NAME)
    # Each kind of drift has the same arithmetic; `items-break` and `views-break` are held by the test of the numbers,
    # and the rules of declared features and weights by tests/unit/validate/test_features.py.
    elsewhere = {"quarantine-small", "views-break", "items-break", "features-usable", "features-break"}
    elsewhere |= {"weights-positive"}
    assert set(BY_NAME) - meant - _WARN == elsewhere


def test_accidents_are_many_and_differ() -> None:
    assert len({accident.name for accident in ACCIDENTS}) == len(ACCIDENTS) >= 40
