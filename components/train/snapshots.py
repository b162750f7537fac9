"""Snapshot files: written completely or not at all, and checked when read. The newest two are kept.

A file is called `<step>-<first half of its sha256>.pt`, so that one rename publishes content and checksum together.
"""

import hashlib
import logging
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import torch

from components.errors import StepError
from components.storage.files import sha256_file

_log = logging.getLogger(__name__)

DIGITS = 32  # of the sha256, enough to tell damage


@dataclass(frozen=True)
class Snapshots:
    folder: Path
    keep: int = 2  # the newest, and one to fall back on

    def write(self, step: int, state: dict[str, Any]) -> Path:
        """Saves `state` so that a crash at any instant leaves the earlier snapshots as they were."""
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = self.folder / f".writing-{os.getpid()}"
        try:
            with scratch.open("wb") as file:
                hashing = _HashingFile(file)
                torch.save(state, cast(IO[bytes], hashing))
                file.flush()
                os.fsync(file.fileno())
            path = self.folder / f"{step:010d}-{hashing.digest()}.pt"
            scratch.replace(path)
            _sync_folder(self.folder)
        except (OSError, RuntimeError) as error:  # torch wraps a failed write in a RuntimeError
            raise StepError(
                f"the checkpoint of step {step} could not be written to {self.folder} ({_reason(error)}): "
                f"free space and run the same command again; {self._kept()}"
            ) from error
        finally:
            scratch.unlink(missing_ok=True)
        self._prune()
        return path

    def newest(self) -> str | None:
        """The name of the newest snapshot whose checksum holds; a warning names a damaged one, which is passed over."""
        for path in reversed(self.paths()):
            if _is_intact(path):
                return path.name
            _log.warning("checkpoint %s is damaged (its checksum does not match): using the one before it", path)
        return None

    def read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        if not (path.is_file() and _is_intact(path)):
            raise StepError(
                f"{platform.node()} does not see the checkpoint {path} from which the first process continues: every "
                "host of a training must be given the same shared folder; check the volume, then run again"
            )
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state

    def paths(self) -> list[Path]:
        """Oldest first."""
        return sorted(self.folder.glob("[0-9]*-*.pt"))

    def clear(self) -> None:
        for path in [*self.paths(), *self.folder.glob(".writing-*")]:
            path.unlink(missing_ok=True)

    def _prune(self) -> None:
        for path in self.paths()[: -self.keep]:
            path.unlink(missing_ok=True)

    def _kept(self) -> str:
        paths = self.paths()
        return f"it continues from {paths[-1].name}" if paths else "there is no earlier checkpoint"


class _HashingFile:
    """What `torch.save` writes to: a file that hashes as it goes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()

    def write(self, data: Any) -> int:
        self._sha256.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def digest(self) -> str:
        return self._sha256.hexdigest()[:DIGITS]


def _is_intact(path: Path) -> bool:
    return sha256_file(path).startswith(path.stem.partition("-")[2])


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: BaseException) -> str:
    cause = error
    while isinstance(cause.__cause__ or cause.__context__, OSError):
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
    return str(cause).splitlines()[0] if str(cause) else type(cause).__name__
