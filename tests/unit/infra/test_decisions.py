"""DECISIONS.md: every entry has a date and a title, and within a group the newest comes last."""

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[3] / "DECISIONS.md").read_text()
GROUPS = dict(re.findall(r"^## (.+)\n\n((?:(?!## ).*\n?)*)", TEXT, re.MULTILINE))


@pytest.mark.parametrize("group", GROUPS)
def test_entries_have_a_date_and_a_title_and_are_in_order(group: str) -> None:
    entries = [entry for entry in GROUPS[group].split("\n\n") if entry.strip()]
    dates = [re.match(r"\*\*(\d{4}-\d\d-\d\d) · [^*]+\.\*\*\s", entry) for entry in entries]
    assert [entry[:80] for entry, date in zip(entries, dates, strict=True) if not date] == []
    found = [date.group(1) for date in dates if date]
    assert found == sorted(found)


def test_no_text_stands_outside_the_groups() -> None:
    assert len(GROUPS) == TEXT.count("\n## ") > 5
