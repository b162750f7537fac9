"""Whatever happens to a cached file, a run reads what it would have read without it, and the log names the damage.

Three caches: vectors of items, objects of versioned data, inputs of studies. The caches of rows, item tables and
trainings are folders sealed by `components/storage/verified.py`, as the inputs of studies are.
"""

import hashlib
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.dataset.sample import SIZES, write_sample
from components.embed.cache import CachedVector, VectorCache, content_key
from components.ingest.objects import ObjectCache
from components.ingest.sources import LocalCache
from components.settings import to_dict
from pipelines.presets import preset
from studies.inputs import prepare

KEYS = [content_key(b"title %d" % i) for i in range(40)]


def _object_name(title: str) -> str:
    return hashlib.md5(title.encode() * 500, usedforsecurity=False).hexdigest()


def read_vectors(folder: Path) -> bytes:
    """As the embed step does: what the cache lacks is encoded and put there."""
    found = []
    with VectorCache(folder / "cache") as vectors:
        for variant, value in (("bert-base", 1), ("bert-large", 2)):
            known = vectors.room(variant).places
            lacking = [key for key in KEYS if key not in known]
            if lacking:
                encoded = [CachedVector(key, np.frombuffer(key, np.uint8)[:8] + np.float32(value)) for key in lacking]
                vectors.put(variant, encoded, 8)
            into_NC = np.zeros((len(KEYS), 8), np.float32)
            vectors.room(variant).gather(KEYS, into_NC)
            found.append(into_NC.tobytes())
        for fit in ("projections/a", "projections/b"):
            kept = vectors.recall(fit)
            if kept is None:
                kept = fit.encode() * 100
                vectors.keep(fit, kept)
            found.append(kept)
    return b"".join(found)


def read_objects(folder: Path) -> bytes:
    """As ingest does: what the cache lacks is copied from DVC's own cache of the checkout."""
    found = []
    for title in ("train", "valid", "test"):
        name = _object_name(title)
        source = folder / "dvc" / "files" / "md5" / name[:2] / name[2:]
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(title.encode() * 500)
        path = ObjectCache(folder / "cache").obtain(name, f"{title}.parquet", [LocalCache(folder / "dvc")])
        found.append(path.read_bytes())
    return b"".join(found)


def read_study(folder: Path) -> bytes:
    data = folder / "clicks"
    if not data.is_dir():
        write_sample(data, replace(SIZES["tiny"], content="item_info"))  # nothing to encode
    config = to_dict(preset("study"))
    made = prepare({"config": config, "data": str(data), "rows": None, "workspace": str(folder)})
    assert made.dataset.startswith(str(folder))
    read = (Path(made.dataset) / "train.parquet", Path(made.embeddings) / "item_info.parquet")
    return f"{made.key} {made.data}".encode() + b"".join(path.read_bytes() for path in read)


READERS: dict[str, Callable[[Path], bytes]] = {"vectors": read_vectors, "objects": read_objects, "study": read_study}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, bytes]]:
    """A folder with an undamaged cache in it, made once, and what a run reads from that."""
    made: dict[str, tuple[Path, bytes]] = {}

    def fill(cache: str) -> tuple[Path, bytes]:
        if cache not in made:
            folder = tmp_path_factory.mktemp(cache)
            made[cache] = folder, READERS[cache](folder)
        return made[cache]

    return fill


def flip(path: Path, _other: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path, _other: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def zero(path: Path, _other: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def empty(path: Path, _other: Path) -> None:
    path.write_bytes(b"")


def swap(path: Path, other: Path) -> None:
    scratch = path.with_name("scratch")
    path.rename(scratch)
    other.rename(path)
    scratch.rename(other)


def delete(path: Path, _other: Path) -> None:
    path.unlink()


def turn_into_a_folder(path: Path, _other: Path) -> None:
    path.unlink()
    path.mkdir()


def move(path: Path, other: Path) -> None:
    """Into the folder of another encoder, whose vectors of the same titles are others."""
    path.rename(other.with_name(path.name))
    other.unlink()


Damage = Callable[[Path, Path], None]
DAMAGES: tuple[Damage, ...] = (flip, cut, zero, empty, swap, delete)
BASE, LARGE, FIT, OTHER_FIT = "bert-base/*.arrow", "bert-large/*.arrow", "projections/a*", "projections/b*"
TRAIN, VALID, TEST = (
    f"files/{name[:2]}/{name[2:]}" for name in (_object_name(title) for title in ("train", "valid", "test"))
)
ROWS, OTHER_ROWS = "study/*/dataset/train.parquet", "study/*/dataset/valid.parquet"
VECTORS, DIGESTS = "study/*/embeddings/item_info.parquet", "study/*/digests.json"
CASES: list[tuple[str, str, str, Damage]] = [
    *(("vectors", path, other, damage) for path, other in ((BASE, LARGE), (LARGE, BASE)) for damage in DAMAGES),
    *(("vectors", FIT, OTHER_FIT, damage) for damage in DAMAGES),
    *(("objects", path, other, damage) for path, other in ((TRAIN, VALID), (TEST, TRAIN)) for damage in DAMAGES),
    *(("study", ROWS, OTHER_ROWS, damage) for damage in DAMAGES),
    ("vectors", BASE, LARGE, move),
    ("objects", TRAIN, VALID, turn_into_a_folder),
    ("study", VECTORS, VECTORS, flip),
    ("study", DIGESTS, DIGESTS, zero),
    ("study", DIGESTS, DIGESTS, delete),
]


@pytest.mark.parametrize(
    ("cache", "path", "other", "damage"),
    [pytest.param(*case, id=f"{case[0]}-{number}-{case[3].__name__}") for number, case in enumerate(CASES)],
)
def test_a_damaged_file_is_named_moved_aside_and_made_again(
    filled: Callable[[str], tuple[Path, bytes]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    cache: str,
    path: str,
    other: str,
    damage: Damage,
) -> None:
    original, before = filled(cache)
    folder, read = tmp_path / "copy", READERS[cache]
    shutil.copytree(original, folder)
    assert read(folder) == before
    assert not _warnings(caplog)
    (hurt,), (partner,) = ((folder / "cache").glob(pattern) for pattern in (path, other))
    damage(hurt, partner)
    assert read(folder) == before
    # A file that is named by its content and gone was never there: it is made anew, and there is nothing to name.
    if damage is not delete or cache == "study":
        moved = [one.name for one in (folder / "cache").rglob("*.damaged-*")]
        assert moved
        assert all(any(name in message for message in _warnings(caplog)) for name in moved)
    caplog.clear()
    assert read(folder) == before
    assert not _warnings(caplog), "the damage is mended for good"


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING and "components" in one.name]
