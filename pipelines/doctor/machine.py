"""This machine: Python, disk, GPU."""

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
