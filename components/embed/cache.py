"""Vectors under the hash of what they were made from, in a few big files, in a local folder or on S3.

A room is one encoder variant; a shard is one Arrow file in it, named by the sha256 of its bytes. Shards are only ever
added, each in one atomic put, so that runs at the same time do not disturb each other and a killed run keeps what it
has written. Projections that earlier runs fitted are in a folder next to the rooms, with the sha256 at the end of their
name.

Each file is hashed before it is used. One whose bytes do not match its name, or that belongs to another room, is named
in the log and moved aside, and its content is made again.
"""

import hashlib
import logging
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from components.storage.files import sha256_file
from components.storage.objects import LocalStore, MissingBlobError, open_store
from components.storage.verified import aside_name

_log = logging.getLogger(__name__)
KEY_BYTES = 32
_VARIANT = b"variant"  # in a shard's metadata: the same titles and images have other vectors in each variant


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
    """The index of one variant: in which shard and row each key's vector is."""

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

    def gather(self, keys: Sequence[bytes | None], into_NC: np.ndarray) -> None:
        """Copies each key's vector to its row; rows without a key are left as they are."""
        rows_of: dict[int, list[tuple[int, int]]] = {}
        for target, key in enumerate(keys):
            if key is not None:
                shard, row = self.places[key]
                rows_of.setdefault(shard, []).append((target, row))
        for shard, pairs in sorted(rows_of.items()):
            targets, rows = np.array(pairs, dtype=np.int64).T
            into_NC[targets] = self.shards[shard].vectors[rows]


class VectorCache:
    """Opens rooms and adds shards. Use it in a `with` block: what was fetched from S3 is kept in a scratch folder until
    its end.
    """

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
        """The index of everything that this run and others have stored for a variant; each file is verified once."""
        room = self._rooms.setdefault(variant, Room())
        for name, path in self._intact(f"{variant}/", ".arrow", {shard.name for shard in room.shards}):
            with pa.memory_map(str(path)) as source:
                table = pa.ipc.open_file(source).read_all()
            made_by = (table.schema.metadata or {}).get(_VARIANT, b"no variant").decode()
            if made_by == variant:
                _add_table(room, name, table)
            else:
                self._move_aside(name, f"its vectors are of {made_by}")
        return room

    def put(self, variant: str, entries: "Iterable[CachedVector]", dimension: int) -> str:
        """Writes one shard and makes it known to the room."""
        data = _arrow_bytes(variant, list(entries), dimension)
        name = f"{variant}/{hashlib.sha256(data).hexdigest()}.arrow"
        self.store.put(name, data)
        room = self._rooms.setdefault(variant, Room())
        if name not in {shard.name for shard in room.shards}:
            _add_table(room, name, pa.ipc.open_file(pa.BufferReader(data)).read_all())
        return name

    def recall(self, name: str) -> bytes | None:
        """The projection that an earlier run kept under a name."""
        return next((path.read_bytes() for _, path in self._intact(f"{name}-", ".npz")), None)

    def keep(self, name: str, data: bytes) -> None:
        self.store.put(f"{name}-{hashlib.sha256(data).hexdigest()}.npz", data)

    def _intact(self, prefix: str, suffix: str, known: Collection[str] = ()) -> Iterator[tuple[str, Path]]:
        """The files whose bytes match their name, as local files; the others are moved aside."""
        for name in self.store.listing(prefix):
            if name.endswith(suffix) and name not in known and (path := self._checked(name)):
                yield name, path

    def _checked(self, name: str) -> Path | None:
        """None if another run removed the file, or if it is damaged."""
        for _ in range(2):  # a second look tells a bad transfer from bad bytes at rest
            try:
                path = self._local(name)
                if sha256_file(path) == Path(name).stem.rpartition("-")[2]:
                    return path
            except (MissingBlobError, FileNotFoundError):
                return None
        self._move_aside(name, "its bytes do not match its name")
        return None

    def _move_aside(self, name: str, reason: str) -> None:
        aside = aside_name(name)
        self.damaged.append(name)
        with suppress(MissingBlobError):  # another run, which noticed as well, was faster
            self.store.rename(name, aside)
            _log.warning(
                "%s/%s is damaged (%s): renamed to %s, and will be made again", self.store.location, name, reason, aside
            )

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


def _arrow_bytes(variant: str, entries: list[CachedVector], dimension: int) -> bytes:
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
    table = table.replace_schema_metadata({_VARIANT: variant.encode()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _add_table(room: Room, name: str, table: pa.Table) -> None:
    column = table.column("vector").combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    vectors = column.flatten().to_numpy(zero_copy_only=True).reshape(table.num_rows, column.type.list_size)
    room.shards.append(Shard(name, vectors, table.column("cause").to_pylist(), table.column("note").to_pylist()))
    for row, key in enumerate(table.column("key").to_pylist()):
        room.places.setdefault(key, (len(room.shards) - 1, row))
