"""The vector cache: no vector is lost or mixed up with another, and damage is found."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.embed.cache import CachedVector, VectorCache, content_key
from components.storage.objects import LocalStore


def entries(start: int, stop: int) -> list[CachedVector]:
    return [CachedVector(content_key(b"%d" % i), np.full(3, i, np.float32)) for i in range(start, stop)]


def gathered(cache: VectorCache, variant: str, count: int) -> np.ndarray:
    room = cache.room(variant)
    into = np.zeros((count, room.dimension), np.float32)
    room.gather([content_key(b"%d" % i) for i in range(count)], into)
    return into


def test_vectors_come_back_to_another_run(tmp_path: Path) -> None:
    with VectorCache(tmp_path) as first:
        first.put("a", entries(0, 5), 3)
        first.put("a", entries(5, 7), 3)
        assert gathered(first, "a", 7)[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    with VectorCache(tmp_path) as second:
        assert gathered(second, "a", 7)[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
        assert second.room("b").places == {}  # another variant shares nothing


def test_a_cause_is_remembered_as_well_as_a_vector(tmp_path: Path) -> None:
    bad, odd = content_key(b"bad"), content_key(b"odd")
    with VectorCache(tmp_path) as cache:
        cache.put("a", [CachedVector(bad, None, "not an image"), CachedVector(odd, np.ones(3), note="CMYK")], 3)
    with VectorCache(tmp_path) as cache:
        room = cache.room("a")
        assert (room.cause(bad), room.cause(odd), room.note(odd)) == ("not an image", "", "CMYK")


def test_a_room_learns_what_another_run_adds_meanwhile(tmp_path: Path) -> None:
    with VectorCache(tmp_path) as one, VectorCache(tmp_path) as two:
        assert one.room("a").places == {}
        two.put("a", entries(0, 2), 3)
        assert len(one.room("a").places) == 2


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied"])
def test_a_damaged_shard_is_moved_aside_and_costs_only_its_own(tmp_path: Path, damage: str) -> None:
    with VectorCache(tmp_path) as cache:
        kept, hurt = cache.put("a", entries(0, 3), 3), cache.put("a", entries(3, 6), 3)
    path = tmp_path / hurt
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes({"flipped": bytes(data), "cut": bytes(data[:-9]), "emptied": b""}[damage])
    with VectorCache(tmp_path) as cache:
        room = cache.room("a")
        assert cache.damaged == [hurt]
        assert set(room.places) == {entry.key for entry in entries(0, 3)}
        cache.put("a", entries(3, 6), 3)
        assert gathered(cache, "a", 6)[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    shards = {path.name for path in (tmp_path / "a").glob("*.arrow")}
    assert shards == {Path(kept).name, path.name}
    assert len(list((tmp_path / "a").glob(f"{path.name}.damaged-*"))) == 1


def test_a_half_written_shard_is_invisible(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".0123.arrow.scratch").write_bytes(b"killed here")
    with VectorCache(tmp_path) as cache:
        assert cache.room("a").places == {}
        assert cache.damaged == []


def test_runs_side_by_side_keep_each_others_vectors(tmp_path: Path) -> None:
    def run(offset: int) -> None:
        with VectorCache(tmp_path) as cache:
            for start in range(0, 40, 4):
                cache.room("a")
                cache.put("a", entries(offset + start, offset + start + 4), 3)

    threads = [threading.Thread(target=run, args=(offset,)) for offset in (0, 20, 40)]  # they overlap
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with VectorCache(tmp_path) as cache:
        assert gathered(cache, "a", 80)[:, 0].tolist() == list(range(80))
        assert cache.damaged == []


def test_a_shard_that_vanishes_between_listing_and_reading_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VectorCache(tmp_path) as cache:
        name = cache.put("a", entries(0, 3), 3)
    with VectorCache(tmp_path) as cache:
        monkeypatch.setattr(type(cache.store), "listing", lambda *_: {name: 1, "a/gone.arrow": 1})
        assert len(cache.room("a").places) == 3
        assert cache.damaged == []


def test_the_same_vectors_are_the_same_shard(tmp_path: Path) -> None:
    with VectorCache(tmp_path) as cache:
        assert cache.put("a", entries(0, 3), 3) == cache.put("a", entries(0, 3), 3)
        assert len(cache.room("a").shards) == 1


def test_a_shard_in_the_room_of_another_variant_is_moved_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its bytes match its name, and its keys are right; its vectors are of another encoder."""
    with VectorCache(tmp_path) as cache:
        name = cache.put("a", entries(0, 3), 3)
    (tmp_path / "b").mkdir()
    strange = tmp_path / "b" / Path(name).name
    strange.write_bytes((tmp_path / name).read_bytes())
    with VectorCache(tmp_path) as cache:
        assert cache.room("b").places == {}
        assert cache.damaged == [f"b/{Path(name).name}"]
    assert "its vectors are of a" in caplog.text
    assert not strange.exists()
    assert len(list(strange.parent.glob("*.damaged-*"))) == 1


def test_a_kept_projection_comes_back_and_a_damaged_one_does_not(tmp_path: Path) -> None:
    with VectorCache(tmp_path) as cache:
        assert cache.recall("projection-abc") is None
        cache.keep("projection-abc", b"numbers")
        cache.keep("projection-abcd", b"others")
        assert cache.recall("projection-abc") == b"numbers"
    (path,) = tmp_path.glob("projection-abc-*.npz")
    path.write_bytes(b"numberz")
    with VectorCache(tmp_path) as cache:
        assert cache.recall("projection-abc") is None
        assert cache.damaged == [path.name]
        cache.keep("projection-abc", b"numbers")
        assert cache.recall("projection-abc") == b"numbers"


def test_the_first_vector_of_a_key_stays_and_rows_without_a_key_are_left_alone(tmp_path: Path) -> None:
    key = content_key(b"x")
    with VectorCache(tmp_path) as cache:
        for value in (1.0, 2.0):
            cache.put("a", [CachedVector(key, np.full(2, value, np.float32))], 2)
        room = cache.room("a")
        assert room.places == {key: (0, 0)}
        into = np.full((3, 2), 9, np.float32)
        room.gather([None, key, None], into)
        assert into.tolist() == [[9, 9], [1, 1], [9, 9]]
        assert room.dimension == 2
        assert cache.room("empty").dimension == 0


class Distant:
    """A store whose files have no path on this machine, as on S3."""

    def __init__(self, root: Path, cut: int = 0) -> None:
        self.near = LocalStore(root)
        self.cut = cut  # so many transfers end too early
        self.fetched: list[Path] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.near, name)

    def download(self, name: str, path: Path) -> None:
        self.near.download(name, path)
        self.fetched.append(path)
        if len(self.fetched) <= self.cut:
            path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize(("cut", "damaged"), [(0, 0), (1, 0), (2, 1)])
def test_shards_on_a_distant_store_are_fetched_checked_and_removed(tmp_path: Path, cut: int, damaged: int) -> None:
    with VectorCache(tmp_path) as cache:
        cache.put("a", entries(0, 3), 3)
    with VectorCache(tmp_path) as cache:
        store = Distant(tmp_path, cut)
        cache.store = store  # type: ignore[assignment]
        assert len(cache.room("a").places) == (0 if damaged else 3)
        assert len(cache.damaged) == damaged
        assert len(store.fetched) == min(cut, 1) + 1
        assert all(path.is_file() for path in store.fetched)
    assert not any(path.exists() for path in store.fetched)
