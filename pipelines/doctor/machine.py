"""This machine: Python, disk, GPU."""

import shutil
from pathlib import Path

from pipelines.doctor.finding import Finding

GIB = 2**30
_PYTHON = (3, 11)
_DISK_LOW, _DISK_TOO_LOW = 20 * GIB, 5 * GIB


def python(version: tuple[int, ...]) -> Finding:
    found = ".".join(str(part) for part in version)
    if version < _PYTHON:
        return Finding("Python", "error", found, "install Python 3.11 and run `make PYTHON=python3.11`")
    if version > _PYTHON:
        return Finding("Python", "warning", found, "requirements.lock is made and tested for 3.11")
    return Finding("Python", "ok", found)


def free_space(workspace: Path) -> tuple[int, Path]:
    """On the disk of the workspace, which need not be there yet: (bytes, the folder that was asked)."""
    path = workspace.resolve()
    folder = next(above for above in (path, *path.parents) if above.is_dir())
    return shutil.disk_usage(folder).free, folder


def disk(free: int, folder: Path) -> Finding:
    found = f"{free / GIB:.0f} GiB free at {folder.resolve()}"
    remedy = "free space, or give `--workspace` a folder on another disk; `make clean` removes local runs"
    if free < _DISK_TOO_LOW:
        return Finding("disk", "error", found, remedy)
    return Finding("disk", "warning" if free < _DISK_LOW else "ok", found, remedy if free < _DISK_LOW else "")


def gpu() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("GPU", "ok", "none; training runs on the CPU, which is enough for the sample")
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    memory = torch.cuda.get_device_properties(0).total_memory / GIB
    return Finding("GPU", "ok", f"{len(names)} x {names[0]}, {memory:.0f} GiB, CUDA {torch.version.cuda}")
