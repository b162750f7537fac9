"""A snapshot is whole or absent, the newest good one is read, and a failed write takes nothing away."""

import hashlib
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from components.errors import StepError
from components.train.snapshots import Snapshots
from tests.tiny_training import newest_of


class CodeOnLoading:
    """What pickle makes of it is a call."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def state(number: int) -> dict[str, Any]:
    return {"step": number, "weights": torch.full((4,), float(number))}


def written(folder: Path, *steps: int) -> Snapshots:
    snapshots = Snapshots(folder)
    for step in steps:
        snapshots.write(step, state(step))
    return snapshots


def names(snapshots: Snapshots) -> list[int]:
    return [int(path.name.partition("-")[0]) for path in snapshots.paths()]


def test_the_two_newest_are_kept_and_the_newest_is_read(tmp_path: Path) -> None:
    snapshots = written(tmp_path, 9, 10, 100)
    assert names(snapshots) == [10, 100], "by number, not by text"
    assert len(list(tmp_path.iterdir())) == 2, "nothing else lies about"
    newest = newest_of(snapshots)
    assert newest is not None
    assert newest["step"] == 100
    assert torch.equal(newest["weights"], torch.full((4,), 100.0))


def test_a_snapshot_is_named_by_its_step_and_half_of_its_hash(tmp_path: Path) -> None:
    path = Snapshots(tmp_path).write(7, state(7))
    assert path.name == f"0000000007-{hashlib.sha256(path.read_bytes()).hexdigest()[:32]}.pt"


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_a_damaged_snapshot_is_named_and_the_one_before_is_read(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    snapshots = written(tmp_path, 1, 2)
    newest = snapshots.paths()[-1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes({"flipped": bytes(content), "cut": bytes(content[:-1]), "empty": b""}[damage])
    with caplog.at_level(logging.WARNING):
        found = newest_of(snapshots)
    assert found is not None
    assert found["step"] == 1
    assert f"{newest} is damaged" in caplog.text


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_host_that_does_not_see_the_chosen_snapshot_says_so(tmp_path: Path, damage: str) -> None:
    snapshots = written(tmp_path, 1)
    (path,) = snapshots.paths()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(StepError, match=rf"does not see the checkpoint {path} .*the same shared folder"):
        snapshots.read(path.name)


def test_a_snapshot_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    path = Snapshots(tmp_path).write(1, {"weights": CodeOnLoading(tmp_path / "ran")})
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        Snapshots(tmp_path).read(path.name)
    assert not (tmp_path / "ran").exists()


def test_without_a_good_snapshot_there_is_none(tmp_path: Path) -> None:
    assert newest_of(Snapshots(tmp_path / "none")) is None
    snapshots = written(tmp_path, 1)
    snapshots.paths()[0].write_bytes(b"noise")
    assert newest_of(snapshots) is None


@pytest.mark.parametrize("earlier", [True, False])
def test_a_full_disk_leaves_what_was_there_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    snapshots = written(tmp_path, *([1, 2] if earlier else []))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    goes_on = rf"it continues from {snapshots.paths()[-1].name}" if earlier else "there is no earlier checkpoint"
    with pytest.raises(StepError, match=rf"the checkpoint of step 3 .*No space left on device.*{goes_on}"):
        snapshots.write(3, state(3))
    assert names(snapshots) == ([1, 2] if earlier else [])
    assert not list(tmp_path.glob(".writing-*"))


def test_content_reaches_the_disk_before_its_name_and_then_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, int, int]] = []
    sync, replace = os.fsync, os.replace

    def note_sync(handle: int) -> None:
        made.append(("flush", os.fstat(handle).st_ino, os.fstat(handle).st_size))
        sync(handle)

    def note_replace(source: Path, target: Path) -> None:
        made.append(("rename", os.stat(source).st_ino, os.stat(source).st_size))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    monkeypatch.setattr(os, "rename", note_replace)
    path = Snapshots(tmp_path).write(1, state(1))
    inode, size = path.stat().st_ino, path.stat().st_size
    assert [call[:2] for call in made] == [("flush", inode), ("rename", inode), ("flush", tmp_path.stat().st_ino)]
    assert made[0][2] == size, "all of it was handed to the kernel before the flush"


def test_a_finished_training_leaves_no_snapshot_behind(tmp_path: Path) -> None:
    snapshots = written(tmp_path, 1, 2)
    (tmp_path / ".writing-99").write_bytes(b"a process that was killed")
    (tmp_path / "notes.txt").write_text("someone else's")
    snapshots.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_snapshot_that_another_process_removed_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots, listed = written(tmp_path, 1, 2), Snapshots.paths
    monkeypatch.setattr(Snapshots, "paths", lambda self: [tmp_path / "0000000000-gone.pt", *listed(self)])
    snapshots.write(3, state(3))
    snapshots.clear()
    assert listed(snapshots) == []
