"""How encoded vectors reach the cache: in order, in shards of a size, and also when the run is interrupted."""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from components.dataset.pictures import Picture
from components.embed.cache import CachedVector, VectorCache, content_key
from components.embed.config import EmbedConfig
from components.embed.encode import FLUSH_SECONDS, _good_batches, _Writer, ahead
from components.embed.registry import Variant, chosen
from components.errors import StepError

PIXELS = np.zeros((2, 2, 3), np.uint8)


def variant() -> Variant:
    spec = chosen(EmbedConfig(), "text")
    assert spec is not None
    return Variant(spec, "", "revision", "float32", 0)


def entry(number: int, value: float = 1.0) -> CachedVector:
    return CachedVector(content_key(b"%d" % number), np.full(3, value, np.float32))


def shards(folder: Path) -> list[int]:
    """The numbers of vectors in the shards that another run finds, in ascending order."""
    with VectorCache(folder) as cache:
        return sorted(len(shard.causes) for shard in cache.room(variant().id).shards)


def write(folder: Path, entries: Iterable[CachedVector], flush_items: int = 3) -> None:
    with VectorCache(folder) as cache, _Writer(cache, variant(), 3, flush_items) as writer:
        for one in entries:
            writer.add(one)


@pytest.mark.parametrize(("count", "written"), [(0, []), (2, [2]), (3, [3]), (4, [1, 3]), (7, [1, 3, 3])])
def test_a_shard_is_written_when_it_is_full_and_the_rest_at_the_end(
    tmp_path: Path, count: int, written: list[int]
) -> None:
    write(tmp_path, map(entry, range(count)))
    assert shards(tmp_path) == written


def test_what_was_encoded_before_an_interrupt_is_kept(tmp_path: Path) -> None:
    def interrupted() -> Iterable[CachedVector]:
        yield from map(entry, range(4))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, interrupted())
    assert shards(tmp_path) == [1, 3]


def test_a_slow_encoder_writes_what_it_has_after_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def slow() -> Iterable[CachedVector]:
        for number in range(4):
            clock[0] += FLUSH_SECONDS / 2
            yield entry(number)

    write(tmp_path, slow(), flush_items=100)
    assert shards(tmp_path) == [1, 3]


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_vector_of_a_broken_encoder_is_refused_and_what_came_before_is_kept(tmp_path: Path, value: float) -> None:
    with pytest.raises(StepError, match="zero or not finite in float32: its weights are broken"):
        write(tmp_path, [entry(1), entry(2, value), entry(3)])
    assert shards(tmp_path) == [1]


def test_pictures_come_in_batches_and_those_that_cannot_be_read_are_told() -> None:
    pictures = [(b"%d" % i, Picture(None if i in (1, 4) else PIXELS, cause=f"cause {i}")) for i in range(7)]
    failed: list[tuple[bytes, str]] = []
    batches = _good_batches(pictures, 2, lambda key, cause: failed.append((key, cause)))
    assert [[key for key, _ in batch] for batch in batches] == [[b"0", b"2"], [b"3", b"5"], [b"6"]]
    assert failed == [(b"1", "cause 1"), (b"4", "cause 4")]
    assert list(_good_batches(pictures[:1] * 4, 2, lambda *_: None)) == [pictures[:1] * 2] * 2


def test_work_ahead_keeps_its_order_and_its_window() -> None:
    lock, under_way, most = threading.Lock(), 0, 0
    taken: list[int] = []

    def inputs() -> Iterable[int]:
        for number in range(20):
            taken.append(number)
            yield number

    def work(number: int) -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.002 * (number % 3))
        with lock:
            under_way -= 1
        return number * number

    with ThreadPoolExecutor(4) as pool:
        results = ahead(pool, work, inputs(), window=3)
        assert next(iter(results)) == 0
        assert taken == [0, 1, 2], "no more than the window was taken from the inputs"
        assert list(results) == [number * number for number in range(1, 20)]
    assert 1 < most <= 3
