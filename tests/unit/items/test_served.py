"""Serving takes up a new item table of the version that it serves, without a restart."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.items.revoke import revoke
from components.packages import current_items
from components.serve import version as room
from components.serve.follow import Follower
from components.serve.version import Scores
from components.tracking import item_tables
from components.tracking.pyfunc import scored_example
from tests.champion_with_items import ITEMS, World, write_items

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint")
EVERY = np.arange(1, ITEMS + 3)


@pytest.fixture(scope="module")
def once() -> Any:
    return cache(scored_example)


@pytest.fixture
def follower(world: World, once: Any, monkeypatch: pytest.MonkeyPatch) -> Follower:
    monkeypatch.setattr(room, "scored_example", once)
    return Follower(world.models, "champion", world.root / "cache" / "models", every=0.01)


def _newer(folder: Path, new: int) -> Path:
    """Tables that no other test has revoked."""
    return write_items(folder, ITEMS + new, {item: f"served {item}" for item in range(ITEMS + 1, ITEMS + 1 + new)})


def _rank(follower: Follower) -> Scores:
    assert follower.current is not None
    return follower.current.rank(
        [3, 5], EVERY.tolist(), {"likes_level": [4] * len(EVERY), "views_level": [4] * len(EVERY)}
    )


@pytest.mark.parametrize("number", [None, 1])
def test_a_new_table_is_taken_up_and_a_revoked_one_given_up(
    world: World, follower: Follower, tmp_path: Path, number: int | None
) -> None:
    follower.number = number  # a pinned version stays, and its items are followed
    follower.look()
    before = _rank(follower)
    assert before.known.tolist() == [True] * ITEMS + [False] * 2
    done = world.refresh(_newer(tmp_path / "data", 2 + bool(number)))
    follower.look()
    after = _rank(follower)
    assert follower.current is not None
    assert (follower.current.item_table, follower.problem, follower.swaps) == (done.table, "", 2)
    assert after.known.all()
    assert after.logit[:ITEMS].tolist() == before.logit[:ITEMS].tolist()
    assert len({*after.logit[ITEMS:], *before.logit[ITEMS:]}) == 3  # two items by their content, and padding
    revoke(world.models, 1, "Bo", "a test")
    follower.look()
    assert follower.current.item_table != done.table
    assert _rank(follower).logit.tolist() == before.logit.tolist()


def test_a_table_that_cannot_be_loaded_leaves_what_is_served(
    world: World, follower: Follower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = world.refresh(_newer(tmp_path / "a", 4))
    follower.look()
    second = world.refresh(_newer(tmp_path / "b", 5))
    honest = item_tables.download

    def damaged(*arguments: Any) -> Path:
        file = honest(*arguments)
        file.write_bytes(b"damaged")
        return file

    monkeypatch.setattr(item_tables, "download", damaged)
    follower.look()
    assert follower.current is not None
    assert (follower.current.item_table, follower.failures) == (first.table, 1)
    assert f"the item table {second.table[:16]} of mmctr version 1 is damaged" in follower.problem
    fresh = Follower(world.models, "champion", world.root / "cache" / "models", every=0.01)
    fresh.look()  # starts with the version's own table
    assert fresh.current is not None
    assert fresh.current.item_table not in (first.table, second.table)
    assert "is damaged" in fresh.problem
    monkeypatch.setattr(item_tables, "download", honest)
    while follower.current.item_table == first.table:
        follower.look()
    assert (follower.current.item_table, follower.problem) == (second.table, "")


def test_a_table_with_which_the_example_is_scored_otherwise_is_not_served(
    world: World, follower: Follower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower.look()
    honest = current_items.with_current_items

    def wrong(models: Any, entry: Any, *rest: Any) -> Any:
        items = honest(models, entry, *rest)
        if entry is not None:
            items.ranker.item_encoder.id.weight.data[3] += 1.0
        return items

    monkeypatch.setattr(room, "with_current_items", wrong)
    world.refresh(_newer(tmp_path / "data", 6))
    follower.look()
    assert "is not served: with it the example is scored" in follower.problem
    assert (follower.swaps, follower.failures) == (1, 1)
