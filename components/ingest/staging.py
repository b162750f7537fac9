"""Fills an output folder completely or not at all."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.dataset.lineage import FILE_NAME
from components.ingest.objects import disk_errors_in_one_line
from components.storage.files import whole_folder

_FICLONE = 0x40049409  # Linux: share the blocks of another file until one of the two is written


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Yields a folder next to `out` that takes its place at the end, and removes it after an error."""
    with disk_errors_in_one_line(out.parent), whole_folder(out, FILE_NAME) as folder:
        yield folder


def link(source: Path, target: Path) -> None:
    """The cheapest copy that the file systems allow: shared blocks, a hard link, or else the bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if _clone(source, target):
        return
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOTSUP):
            raise
        shutil.copyfile(source, target)


def copy(source: Path, target: Path) -> None:
    """Bytes of its own, sharing blocks where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not _clone(source, target):
        shutil.copyfile(source, target)


def _clone(source: Path, target: Path) -> bool:
    try:
        with source.open("rb") as original, target.open("wb") as copy:
            fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
    except OSError:  # another file system, or one that can't share blocks
        target.unlink(missing_ok=True)
        return False
    return True
