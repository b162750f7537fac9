"""Files: readable JSON, writes that happen completely or not at all, and hashes."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.errors import StepError

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def full_disk_in_one_line(folder: Path) -> Iterator[None]:
    """`folder` is what the message names where the error itself names no file."""
    try:
        yield
    except OSError as error:
        # shutil.copytree collects what failed in an error that has no number of its own.
        if error.errno in FULL_DISK or (isinstance(error, shutil.Error) and os.strerror(errno.ENOSPC) in str(error)):
            where = error.filename2 or error.filename or folder
            raise StepError(f"the disk of {where} is full: make room and run again") from None
        raise


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a scratch path next to `path`; on success its content is flushed to disk and takes `path`'s place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        scratch.chmod(0o644)  # mkstemp makes it private to its owner
        put_in_place(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def whole_folder(out: Path, mark: str) -> Iterator[Path]:
    """Yields a folder next to `out` that takes its place at the end, and removes it after an error.

    A folder that is there already is replaced only if it is empty or holds the file `mark`.
    """
    if out.is_dir() and any(out.iterdir()) and not (out / mark).is_file():
        raise StepError(f"{out} holds files that are no dataset of ours: choose an empty folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield folder
        folder.chmod(0o755)  # mkdtemp makes it private to its owner
        if out.is_dir():
            shutil.rmtree(out)
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_in_place(scratch: Path, path: Path) -> None:
    """Lets a finished file take `path`'s place, so that after a power cut `path` holds the old content or the new."""
    flush(scratch)
    scratch.replace(path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Returns when the disk holds a file's content, or a folder's list of names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems flush no folder
            raise
    finally:
        os.close(handle)


def link_or_copy(source: Path, target: Path) -> None:
    """Lets `target` be the same file as `source`, or a copy where the file system can't."""
    with atomic_path(target) as scratch:
        try:
            scratch.unlink()
            os.link(source, scratch)
        except OSError:
            shutil.copyfile(source, scratch)


def write_json(path: Path, value: Any) -> None:
    with atomic_path(path) as scratch:
        scratch.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise StepError(f"{path} is missing: the step that writes it did not finish") from None
    except ValueError as error:
        raise StepError(f"{path} is not JSON ({error}): delete it and run the step that writes it again") from None


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """The hash of a value that JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
