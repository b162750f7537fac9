"""Whatever happens to the caches of a training, its next run names the damage and ends with the same weights."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from components.artifacts import Artifacts
from components.train.step import train
from tests.tiny_training import recipe, write_inputs

TRAINING = recipe(max_epochs=1)
FILES = {
    "rows": ["records", "history", "user", "meta.json", "digests.json"],
    "items": ["codes.npy", "numbers.npy", "content.npy", "seen.npy", "features.json", "digests.json"],
    "results": ["model.safetensors", "curves.json", "summary.json", "digests.json"],
}


def _flip(path: Path) -> None:
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _swap(path: Path) -> None:
    """With another file of the same entry."""
    other = next(sibling for sibling in sorted(path.parent.iterdir()) if sibling.read_bytes() != path.read_bytes())
    content = other.read_bytes()
    other.write_bytes(path.read_bytes())
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "a bit flipped": _flip,
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "missing": Path.unlink,
    "swapped": _swap,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifacts, Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("trained")
    inputs = write_inputs(folder, rows=200)
    train(inputs, TRAINING, folder / "work", folder / "out")
    return inputs, folder / "work", _content(folder / "out")


def _content(out: Path) -> dict[str, bytes]:
    weights = {name: array.tobytes() for name, array in load_file(out / "model.safetensors").items()}
    return {**weights, "curves": (out / "curves.json").read_bytes()}


def _entry(work: Path, cache: str) -> Path:
    """One folder of this cache."""
    folders = work.glob("*/results") if cache == "results" else (work / cache).iterdir()
    return sorted(folder for folder in folders if folder.is_dir())[0]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("cache", "file"), [(cache, file) for cache, files in FILES.items() for file in files])
def test_each_damage_is_named_in_the_log(
    trained: tuple[Artifacts, Path, dict[str, bytes]],
    tmp_path: Path,
    cache: str,
    file: str,
    damage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    inputs, finished, expected = trained
    work = tmp_path / "work"
    shutil.copytree(finished, work)
    entry = _entry(work, cache)
    DAMAGES[damage](entry / file)

    train(inputs, TRAINING, work, tmp_path / "out")

    assert _content(tmp_path / "out") == expected
    assert f"{entry} is damaged" in caplog.text
    assert list(entry.parent.glob(f"{entry.name}.damaged-*")), "nothing was kept to look at"
    assert entry.is_dir(), "it was not made again"


@pytest.mark.parametrize("cache", FILES)
def test_an_entry_that_is_gone_is_made_again(
    trained: tuple[Artifacts, Path, dict[str, bytes]], tmp_path: Path, cache: str
) -> None:
    inputs, finished, expected = trained
    shutil.copytree(finished, tmp_path / "work")
    shutil.rmtree(_entry(tmp_path / "work", cache))
    train(inputs, TRAINING, tmp_path / "work", tmp_path / "out")
    assert _content(tmp_path / "out") == expected
