"""Where the vectors of all items lie while they are made."""

import errno
import os
from pathlib import Path

import pytest

from components.embed.sources import _matrix


def test_a_table_of_vectors_is_zero_and_its_space_is_taken_before_anything_is_written(tmp_path: Path) -> None:
    """To write into a mapped file whose disk is full ends the process, without a word."""
    path = tmp_path / "vectors" / "text.f32"
    vectors = _matrix(path, 1000, 64)
    assert (vectors.shape, vectors.dtype.name) == ((1000, 64), "float32")
    assert not vectors.any()
    assert path.stat().st_size == 1000 * 64 * 4
    assert path.stat().st_blocks * 512 >= 1000 * 64 * 4
    vectors[999] = 1.0
    assert vectors.sum() == 64


def test_a_disk_without_that_space_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int, offset: int, size: int) -> None:
        assert (offset, size) == (0, 24)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"No space left on device: .*text\.f32") as refused:
        _matrix(tmp_path / "text.f32", 2, 3)
    assert refused.value.errno == errno.ENOSPC


@pytest.mark.parametrize(("rows", "width"), [(0, 3), (3, 0)])
def test_a_table_of_nothing_needs_no_file(tmp_path: Path, rows: int, width: int) -> None:
    assert _matrix(tmp_path / "text.f32", rows, width).shape == (rows, width)
    assert list(tmp_path.iterdir()) == []
