"""A folder becomes the repository's `data/`, and `data.dvc` names it."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from components.dataset.footers import check_footers
from components.errors import StepError
from components.ingest.git import printed
from components.ingest.revision import DATA_FILE, resolve
from components.ingest.staging import copy
from components.ingest.step import contract_files, listed_files
from components.ingest.workspace import refuse_changed_data, refuse_uncommitted_pointer
from components.process.progress import progress
from components.storage import versioning


@dataclass(frozen=True)
class Added:
    md5: str
    size: int  # bytes
    files: int
    pushed: int | None  # objects; None when nothing was pushed


def add_data(repository: Path, folder: Path, cache: Path, push: bool = False) -> Added:
    """`dvc add` of `data/`, after `folder` took its place if it is another one.

    What `data/` held must be versioned, and what was added before must be committed.
    """
    root = _checkout(repository)
    if not (root / ".dvc").is_dir():
        raise StepError(f"{root} is not set up for DVC: run dvc init there, and dvc remote add -d NAME URL")
    if (root / DATA_FILE).is_file():
        refuse_uncommitted_pointer(root, DATA_FILE)
    files = dict(contract_files(folder))
    check_footers(folder)
    data = root / "data"
    if folder.resolve() != data.resolve():
        _refuse_to_lose(root, cache)
        _replace(data, files)
    versioning.add(root, data)
    pushed = versioning.push(root, root / DATA_FILE) if push else None
    out = yaml.safe_load((root / DATA_FILE).read_text())["outs"][0]
    return Added(str(out["md5"]), int(out["size"]), int(out["nfiles"]), pushed)


def _checkout(path: Path) -> Path:
    top = printed(path, "rev-parse", "--show-toplevel").rstrip("\n")
    if not top:
        raise StepError(f"{path.resolve()} is not in a git repository: run this in a clone")
    return Path(top)


def _refuse_to_lose(root: Path, cache: Path) -> None:
    data = root / "data"
    if not data.is_dir() or not any(data.iterdir()):
        return
    if not (root / DATA_FILE).is_file():
        raise StepError("data/ is there and no data.dvc names it: mmctr data add data first, or move it away")
    refuse_changed_data(root, listed_files(resolve(str(root), "HEAD", cache), cache))


def _replace(data: Path, files: dict[str, Path]) -> None:
    """The new folder is complete before the old one goes."""
    staging = Path(tempfile.mkdtemp(prefix=".data.", dir=data.parent))
    try:
        with progress("copy data", len(files), "files") as bar:
            for name, path in files.items():
                copy(path, staging / name)
                bar.advance()
        staging.chmod(0o755)
        if data.exists():
            shutil.rmtree(data)
        staging.rename(data)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
