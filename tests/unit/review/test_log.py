"""The log's rules, without a server: what counts, what is void, what was tampered with."""

import dataclasses
import json

import pytest

from components.tracking.anchor import text_hash
from components.tracking.chain import TamperedError
from components.tracking.decisions import Action, Decision, fold


def write(entries: dict[int, str], after: int, action: Action, version: int, champion: int | None) -> int:
    previous = text_hash(entries[after]) if after else ""
    decision = Decision(
        id=f"id-{len(entries)}",
        after=after,
        previous=previous,
        action=action,
        version=version,
        champion=champion,
        by="Ada",
        note="because",
        at="2026-11-20T05:00:00+00:00",
        evidence={},
    )
    number = len(entries) + 1
    entries[number] = decision.text()
    return number


@pytest.fixture
def entries() -> dict[int, str]:
    """Version 1, then 3 approved, 2 rejected in between."""
    made: dict[int, str] = {}
    write(made, 0, "approve", 1, None)
    write(made, 1, "reject", 2, 1)
    write(made, 2, "approve", 3, 1)
    return made


def test_decisions_add_up(entries: dict[int, str]) -> None:
    book = fold(entries)
    assert (book.champion, book.previous, book.head) == (3, 1, 3)
    assert book.status == {1: "approved", 2: "rejected", 3: "approved"}


def test_rolling_back_swaps_and_again_swaps_back(entries: dict[int, str]) -> None:
    write(entries, 3, "rollback", 1, 3)
    book = fold(entries)
    assert (book.champion, book.previous) == (1, 3)
    assert book.status == {1: "approved", 2: "rejected", 3: "rolled_back"}
    write(entries, 4, "rollback", 3, 1)
    book = fold(entries)
    assert (book.champion, book.previous) == (3, 1)
    assert book.status == {1: "approved", 2: "rejected", 3: "approved"}


def test_of_two_that_follow_the_same_decision_the_first_counts(entries: dict[int, str]) -> None:
    winner = write(entries, 3, "approve", 4, 3)
    loser = write(entries, 3, "approve", 5, 3)
    later = write(entries, winner, "approve", 6, 4)
    book = fold(entries)
    assert set(book.void) == {loser}
    assert (book.champion, book.previous, book.head) == (6, 4, later)
    assert 5 not in book.status


def test_a_request_sent_twice_counts_once(entries: dict[int, str]) -> None:
    entries[4] = entries[3]
    book = fold(entries)
    assert set(book.void) == {4}
    assert (book.champion, book.head) == (3, 3)


def test_a_first_decision_takes_over_the_champion_it_found() -> None:
    entries: dict[int, str] = {}
    write(entries, 0, "approve", 8, 7)
    assert (fold(entries).champion, fold(entries).previous) == (8, 7)
    entries.clear()
    write(entries, 0, "reject", 8, 7)
    assert fold(entries).champion == 7


def changed(text: str, **fields: object) -> str:
    return json.dumps({**json.loads(text), **fields}, sort_keys=True)


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        pytest.param(lambda e: e.pop(2), "decision 2 is missing", id="removed"),
        pytest.param(lambda e: e.update({2: changed(e[2], by="Eve")}), "decision 3 follows .* changed", id="changed"),
        pytest.param(lambda e: e.update({1: e[2], 2: e[1]}), "decision 1 follows", id="swapped"),
        pytest.param(lambda e: e.update({2: "{}"}), "decision 2 can't be read", id="emptied"),
        pytest.param(lambda e: e.update({2: "no json"}), "decision 2 can't be read", id="garbled"),
        pytest.param(lambda e: e.update({3: changed(e[3], champion=9)}), "names the champion 9", id="invented"),
        pytest.param(lambda e: e.update({4: changed(e[3], after=17)}), "decision 4 follows a decision 17", id="forged"),
    ],
)
def test_tampering_is_named(entries: dict[int, str], tamper: object, found: str) -> None:
    assert callable(tamper)
    tamper(entries)
    with pytest.raises(TamperedError, match=found):
        fold(entries)


def test_a_decision_reads_as_it_was_written(entries: dict[int, str]) -> None:
    decision = fold(entries).decisions[3]
    assert Decision(**json.loads(decision.text())) == decision
    assert decision.sentence() == "Ada approved version 3: because"
    assert dataclasses.replace(decision, action="rollback").sentence() == "Ada rolled back to version 3: because"
