"""The logits of an unfinished prediction, in a folder next to its output: what a killed run leaves for the next.

Each chunk of rows is a file named `START-SHA256.f32`, written whole or not at all. A run takes up the chunks from row 0
that are there and intact; the first one that is missing or damaged, and all behind it, are scored anew.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.storage.files import atomic_path, sha256_file, write_json

Logits = npt.NDArray[np.float32]


@dataclass
class Unfinished:
    folder: Path
    rows: int
    scored: int = 0
    _chunks: list[Path] = field(default_factory=list)

    @classmethod
    def open(cls, out: Path, key: str, rows: int) -> "Unfinished":
        """`key` names what is scored; chunks of other rows, or of another version, are removed."""
        folder = out.with_name(f".{out.name}.unfinished")
        if folder.exists() and not (folder / key).exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / key, {"rows": rows})
        found = cls(folder, rows)
        for path in sorted(folder.glob("*-*.f32")):
            start, _, digest = path.stem.partition("-")
            if start == _digits(found.scored) and sha256_file(path) == digest:
                found._take(path)
        return found

    def append(self, logits: Logits) -> None:
        with atomic_path(self.folder / "chunk") as scratch:
            scratch.write_bytes(logits.astype("<f4").tobytes())  # numpy's `tofile` does not say that the disk is full
            named = self.folder / f"{_digits(self.scored)}-{sha256_file(scratch)}.f32"
        (self.folder / "chunk").rename(named)
        self._take(named)

    def logits(self) -> Logits:
        """Of all rows, mapped from one file, because there may be more rows than memory."""
        if not self.rows:
            return np.zeros(0, np.float32)
        whole = self.folder / "all.f32"
        with whole.open("wb") as file:
            for chunk in self._chunks:
                with chunk.open("rb") as source:
                    shutil.copyfileobj(source, file)
        return np.memmap(whole, "<f4", mode="r", shape=(self.rows,))

    def remove(self) -> None:
        shutil.rmtree(self.folder)

    def _take(self, chunk: Path) -> None:
        self._chunks.append(chunk)
        self.scored += chunk.stat().st_size // 4


def _digits(row: int) -> str:
    """Sorts like the number."""
    return f"{row:015d}"
