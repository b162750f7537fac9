"""Places of objects other than a DVC remote: DVC's cache in a checkout, and the repository itself."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from components.ingest.revision import Revision


@dataclass(frozen=True)
class LocalCache:
    """`.dvc/cache`: objects that `dvc add` or `dvc pull` left in this checkout need not be fetched."""

    root: Path

    @property
    def location(self) -> str:
        return str(self.root)

    def fetch(self, name: str, path: Path, on_bytes: Callable[[int], None]) -> None:
        shutil.copyfile(self.root / "files" / "md5" / name[:2] / name[2:], path)
        on_bytes(path.stat().st_size)


@dataclass(frozen=True)
class Committed:
    """A remote in the repository is part of the commit: git hands out its objects, also from a bare clone."""

    revision: Revision
    place: PurePosixPath

    @property
    def location(self) -> str:
        return f"{self.place} at {self.revision.commit[:12]}"

    def fetch(self, name: str, path: Path, on_bytes: Callable[[int], None]) -> None:
        data = self.revision.read(f"{self.place}/files/md5/{name[:2]}/{name[2:]}")
        if data is None:
            raise FileNotFoundError(name)
        path.write_bytes(data)
        on_bytes(len(data))
