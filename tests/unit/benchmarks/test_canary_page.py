"""The figures of the page on canaries are those that were measured, and keep what the page promises."""

from pathlib import Path

import pytest

from benchmarks import canary_page
from components.storage.files import read_json

ROOT = Path(__file__).parents[3]


def test_the_page_shows_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = canary_page.PAGE.read_text()
    assert canary_page.page(text) == text


def test_at_most_five_percent_of_equal_challengers_were_promoted_or_called_worse() -> None:
    results = read_json(ROOT / canary_page.RESULTS / "canary.json")["results"]
    equal = [case for case in results if case["case"].startswith("A/A")]
    assert len(equal) == 5
    for case in equal:
        assert case["runs"] >= 1000
        assert case["promoted_95"][1] <= 0.05
        assert case["worse"] <= 0.05


def test_all_planted_skews_were_found_and_clean_days_raised_nothing() -> None:
    for size in read_json(ROOT / canary_page.RESULTS / "skew.json")["results"]:
        assert (size["clean_days"], size["clean_days_raised"]) == (100, 0)
        assert {name for name, planted in size["planted"].items() if planted["found"] < planted["days"]} == set()
