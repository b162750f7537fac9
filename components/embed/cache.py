"""Vectors under the hash of what they were made from, in a few big files, in a local folder or on S3.

A room is one encoder variant; a shard is one Arrow file in it, named by the sha256 of its bytes. Shards are only ever
added, each in one atomic put, so that runs side by side cannot hurt each other, a killed run keeps what it flushed,
and a shard whose bytes no longer match its name is known to be damaged, named, removed and made again.
"""

import hashlib
import logging
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from components.storage.files import sha256_file
from components.storage.objects import LocalStore, MissingBlobError, open_store

_log = logging.getLogger(__name__)
KEY_BYTES = 32


def content_key(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@dataclass
class Shard:
    """One verified file, its vectors still on disk: a memory map."""

    name: str
    vectors: np.ndarray
    causes: list[str]
    notes: list[str]


@dataclass
class Room:
    """What the cache knows of one variant: where each key's vector lies."""

    shards: list[Shard] = field(default_factory=list)
    places: dict[bytes, tuple[int, int]] = field(default_factory=dict)  # key -> shard, row

    def cause(self, key: bytes) -> str:
        shard, row = self.places[key]
        return self.shards[shard].causes[row]

    def note(self, key: bytes) -> str:
        shard, row = self.places[key]
        return self.shards[shard].notes[row]

    @property
    def dimension(self) -> int:
        return int(self.shards[0].vectors.shape[1]) if self.shards else 0

    def gather(self, keys: Sequence[bytes | None], into_ND: np.ndarray) -> None:
        """Copies each key's vector to its row; rows without a key are left as they are."""
        rows_of: dict[int, list[tuple[int, int]]] = {}
        for target, key in enumerate(keys):
            if key is not None:
                shard, row = self.places[key]
                rows_of.setdefault(shard, []).append((target, row))
        for shard, pairs in sorted(rows_of.items()):
            targets, rows = np.array(pairs, dtype=np.int64).T
            into_ND[targets] = self.shards[shard].vectors[rows]


class VectorCache:
    """Opens rooms and adds shards. A context: what was fetched from S3 lies in a scratch folder until its end."""

    def __init__(self, location: str | Path) -> None:
        self.store = open_store(location)
        self.damaged: list[str] = []
        self._rooms: dict[str, Room] = {}
        self._scratch = tempfile.TemporaryDirectory(prefix="mmctr-vectors-")

    def __enter__(self) -> "VectorCache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rooms.clear()
        self._scratch.cleanup()

    def room(self, variant: str) -> Room:
        """Everything that other runs and this one have put under a variant, each file verified once."""
        room = self._rooms.setdefault(variant, Room())
        known = {shard.name for shard in room.shards}
        for name in self.store.listing(f"{variant}/"):
            if name.endswith(".arrow") and name not in known:
                path = self._verified(name)
                if path is not None:
                    _add(room, name, path)
        return room

    def put(self, variant: str, entries: "Iterable[CachedVector]", dimension: int) -> str:
        """Writes one shard and makes it known to the room."""
        data = _arrow_bytes(list(entries), dimension)
        name = f"{variant}/{hashlib.sha256(data).hexdigest()}.arrow"
        self.store.put(name, data)
        room = self._rooms.setdefault(variant, Room())
        if name not in {shard.name for shard in room.shards}:
            _add_table(room, name, pa.ipc.open_file(pa.BufferReader(data)).read_all())
        return name

    def recall(self, name: str) -> bytes | None:
        """A small blob that an earlier run kept beside the rooms."""
        try:
            return self.store.get(name)
        except MissingBlobError:
            return None

    def keep(self, name: str, data: bytes) -> None:
        self.store.put(name, data)

    def _verified(self, name: str) -> Path | None:
        """The shard as a local file; None if another run removed it, or if it is damaged, which removes it."""
        for _ in range(2):  # a second look tells a bad transfer from bad bytes at rest
            try:
                path = self._local(name)
                if sha256_file(path) == Path(name).stem:
                    return path
            except (MissingBlobError, FileNotFoundError):
                return None
        _log.warning(
            "%s/%s is damaged: its bytes do not match its name; its vectors are made again", self.store.location, name
        )
        self.damaged.append(name)
        self.store.delete(name)
        return None

    def _local(self, name: str) -> Path:
        if isinstance(self.store, LocalStore):
            return self.store.root / name
        path = Path(self._scratch.name) / name
        self.store.download(name, path)
        return path


@dataclass(frozen=True)
class CachedVector:
    """One content's vector, or the cause why it has none (then the vector is zero and never used)."""

    key: bytes
    vector: np.ndarray | None
    cause: str = ""
    note: str = ""


def _arrow_bytes(entries: list[CachedVector], dimension: int) -> bytes:
    vectors = np.zeros((len(entries), dimension), dtype=np.float32)
    for row, entry in enumerate(entries):
        if entry.vector is not None:
            vectors[row] = entry.vector
    table = pa.table(
        {
            "key": pa.array([entry.key for entry in entries], pa.binary(KEY_BYTES)),
            "cause": pa.array([entry.cause for entry in entries], pa.string()),
            "note": pa.array([entry.note for entry in entries], pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), dimension),
        }
    ).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _add(room: Room, name: str, path: Path) -> None:
    with pa.memory_map(str(path)) as source:
        _add_table(room, name, pa.ipc.open_file(source).read_all())


def _add_table(room: Room, name: str, table: pa.Table) -> None:
    column = table.column("vector").combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    vectors = column.flatten().to_numpy(zero_copy_only=True).reshape(table.num_rows, column.type.list_size)
    room.shards.append(Shard(name, vectors, table.column("cause").to_pylist(), table.column("note").to_pylist()))
    for row, key in enumerate(table.column("key").to_pylist()):
        room.places.setdefault(key, (len(room.shards) - 1, row))
