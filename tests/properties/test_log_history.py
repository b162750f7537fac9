"""The importer's rows against a slow reference: strictly earlier clicks, and negatives that were possible then."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset.importers import LogImport, import_log
from components.dataset.importers.log import rows as rows_module
from components.dataset.layout import split_path

Event = tuple[str, str, int, int]  # visitor, sku, time, clicked
_events = st.lists(
    st.tuples(st.sampled_from(["a", "b", "007"]), st.sampled_from("pqrst"), st.integers(0, 6), st.integers(0, 1)),
    min_size=1,
    max_size=40,
)
# Users of their own, so that each split has rows with a history and both labels.
_FILL = [
    (split, item, time, clicked)
    for split in ("train", "valid", "test")
    for item, time, clicked in (("p", 1, 1), ("q", 2, 1), ("r", 3, 0))
]


def made(log: list[Event], history: int, labelled: bool, seed: int = 0) -> list[tuple[Event, tuple[str, ...]]]:
    """Each row as (visitor, sku, time, label) and its history, all in the log's own words."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        lines = [
            f"{user},{item},{time},{clicked},{user if user in ('valid', 'test') else 'train'}"
            for user, item, time, clicked in log
        ]
        (folder / "log.csv").write_text("u,i,t,l,s\n" + "\n".join(lines) + "\n")
        label = ", label: l" if labelled else ""
        (folder / "features.yaml").write_text(f"features: []\nlog: {{user: u, item: i, time: t, split: s{label}}}\n")
        out = folder / "out"
        import_log(
            LogImport(folder / "log.csv", folder / "features.yaml", out, history=history, min_history=0, seed=seed)
        )
        ids = [pq.read_table(out / f"{whose}_ids.parquet").to_pydict() for whose in ("user", "item")]
        users, items = (dict(zip(table["id"], table["raw"], strict=True)) for table in ids)
        return [
            (
                (users[row["user_id"]], items[row["item_id"]], row["time"], row["label"]),
                tuple(items[item] for item in row["item_seq"]),
            )
            for split in ("train", "valid", "test")
            for row in pq.read_table(split_path(out, split)).to_pylist()
        ]


def before(log: list[Event], user: str, time: int, history: int) -> Counter[str]:
    """The newest clicks of strictly earlier moments; of one moment in any order."""
    earlier = sorted((t, i) for u, i, t, clicked in log if u == user and clicked and t < time)
    return Counter(item for _, item in earlier[len(earlier) - min(history, len(earlier)) :])


@settings(max_examples=25)
@given(_events, st.sampled_from([1, 3, 50]), st.integers(1, 7))
def test_each_event_has_the_clicks_of_strictly_earlier_moments(log: list[Event], history: int, at_once: int) -> None:
    whole = [*log, *_FILL]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "EVENTS_AT_ONCE", at_once)  # blocks that end within users and moments
        found = made(whole, history, labelled=True)
    assert Counter(row for row, _ in found) == Counter(whole)
    for (user, _, time, _), seen in found:
        times = {item: [t for u, i, t, clicked in whole if u == user and i == item and clicked] for item in seen}
        assert all(min(of_item) < time for of_item in times.values())
        earlier = sorted(t for u, _, t, clicked in whole if u == user and clicked and t < time)
        assert len(seen) == min(history, len(earlier))
        if history == 50:
            assert Counter(seen) == before(whole, user, time, history)


@settings(max_examples=25)
@given(_events, st.integers(0, 5), st.integers(1, 7))
def test_negatives_had_occurred_and_were_not_clicked(log: list[Event], seed: int, at_once: int) -> None:
    whole = [(user, item, time, 1) for user, item, time, _ in [*log, *_FILL]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "EVENTS_AT_ONCE", at_once)
        found = [row for row, _ in made(whole, 50, labelled=False, seed=seed)]
    assert Counter(row for row in found if row[3]) == Counter(whole)
    drawn = [row for row in found if not row[3]]
    assert len(set(drawn)) == len(drawn)
    for user, item, time, _ in drawn:
        assert any(i == item and t < time for _, i, t, _ in whole)
        assert not any(u == user and i == item and t <= time for u, i, t, _ in whole)


def test_a_negative_is_found_wherever_one_is_possible() -> None:
    """Uniform draws from few items find the one that is left."""
    log = [("a", "p", 1, 1), ("b", "q", 1, 1), ("a", "r", 2, 1), *_FILL]
    rows = made([(user, item, time, 1) for user, item, time, _ in log], 50, labelled=False)
    assert {row[1] for row, _ in rows if row[0] == "a" and row[2] == 2 and not row[3]} == {"q"}
