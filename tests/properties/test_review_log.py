"""However writers interleave, the log is one history for every reader, and no change of it goes unnoticed."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.tracking.chain import TamperedError
from components.tracking.decisions import Book, Decision, fold


@dataclass
class Writer:
    """Reads the log at some time, and appends what it decided on that reading at a later one."""

    seen: Book | None = None


def decide(book: Book, version: int, approves: bool) -> Decision | None:
    if book.status.get(version):
        return None
    return Decision(
        id=f"{book.head}-{version}",
        after=book.head,
        previous=book.hashes[book.head],
        action="approve" if approves else "reject",
        version=version,
        champion=book.champion,
        by="someone",
        note="so",
        at="2026-11-20T05:00:00+00:00",
        evidence={},
    )


steps = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans(), st.booleans()), max_size=40)


def play(steps: list[tuple[int, bool, bool, bool]]) -> dict[int, str]:
    writers, entries = [Writer() for _ in range(4)], dict[int, str]()
    for turn, (who, reads, approves, twice) in enumerate(steps):
        writer = writers[who]
        if reads or writer.seen is None:
            writer.seen = fold(entries)
            continue
        decision = decide(writer.seen, 1 + turn % 5, approves)
        for _ in range(1 + twice if decision else 0):  # a retry may send it twice
            assert decision is not None
            entries[len(entries) + 1] = decision.text()
    return entries


@given(steps)
def test_what_counts_is_one_chain_in_which_no_version_is_decided_twice(
    steps: list[tuple[int, bool, bool, bool]],
) -> None:
    entries = play(steps)
    book = fold(entries)
    assert set(book.decisions) | set(book.void) == set(entries)
    chain = [decision for _, decision in sorted(book.decisions.items())]
    assert [d.after for d in chain] == [0, *sorted(book.decisions)][: len(chain)]
    assert len({d.version for d in chain}) == len(chain)
    approved = [d.version for d in chain if d.action == "approve"]
    assert [book.champion, book.previous] == [*reversed([None, None, *approved])][:2]


@given(steps, st.data())
def test_a_changed_or_removed_decision_is_noticed_once_another_follows(
    steps: list[tuple[int, bool, bool, bool]], data: st.DataObject
) -> None:
    entries = play(steps)
    last = fold(entries).head
    later = Decision(
        id="later",
        after=last,
        previous=fold(entries).hashes[last],
        action="reject",
        version=99,
        champion=fold(entries).champion,
        by="someone",
        note="so",
        at="2026-11-20T06:00:00+00:00",
        evidence={},
    )
    number = data.draw(st.sampled_from(sorted(fold(entries).decisions) or [0]))
    entries[len(entries) + 1] = later.text()
    if number == 0:
        return  # nothing was decided, so nothing can be changed
    if data.draw(st.booleans()):
        del entries[number]
    else:
        place = data.draw(st.integers(0, len(entries[number]) - 1))
        other = data.draw(st.characters(codec="ascii").filter(lambda c: c != entries[number][place]))
        entries[number] = entries[number][:place] + other + entries[number][place + 1 :]
    with pytest.raises(TamperedError):
        fold(entries)
