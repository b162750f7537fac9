"""Where a dataset came from, down to the byte."""

import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import components
from components.storage.files import read_json, sha256_file, write_json

FILE_NAME = "lineage.json"
IMAGE_VARIABLE = "MMCTR_CODE_VERSION"  # the image's digest, set where the pipeline is compiled


@dataclass(frozen=True)
class Lineage:
    """`data_md5` is what DVC calls the folder, also of a folder that DVC has never seen: equal data, equal md5."""

    repository: str  # without secrets; empty for a plain folder
    revision: str  # as asked for
    data_commit: str | None
    data_md5: str
    files: dict[str, dict[str, Any]]  # name -> md5 and size; loose images are one entry, `item_images/`
    size: int  # bytes
    remote: str  # without secrets
    code_commit: str | None  # none in an image, which has no .git
    code_changed: bool  # whether the code had uncommitted changes
    lock_sha256: str | None  # of requirements.lock
    image: str | None  # its digest, where a step runs in one: code and packages in one name

    def tags(self) -> dict[str, str]:
        """Tags of the run by which people search runs."""
        named = {
            "data_md5": self.data_md5,
            "data_commit": self.data_commit,
            "data_revision": self.revision,
            "data_remote": self.remote,
            "code_commit": self.code_commit,
            "code_changed": str(self.code_changed).lower(),
            "lock_sha256": self.lock_sha256,
            "image": self.image,
        }
        return {f"mmctr.{name}": value for name, value in named.items() if value}

    def write(self, folder: Path) -> None:
        write_json(folder / FILE_NAME, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Self:
        return cls(**read_json(folder / FILE_NAME))


def code_facts() -> dict[str, Any]:
    """What code runs: a commit and a lock in a checkout, an image elsewhere."""
    root = Path(components.__file__).resolve().parent.parent
    lock = root / "requirements.lock"
    commit, changed = None, False
    # A package installed into a virtual environment may lie in a checkout without being part of it.
    if _git(root, "ls-files", "--error-unmatch", components.__file__) is not None:
        commit = _git(root, "rev-parse", "HEAD")
        changed = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    return {
        "code_commit": commit,
        "code_changed": changed,
        "lock_sha256": sha256_file(lock) if lock.is_file() else None,
        "image": os.environ.get(IMAGE_VARIABLE) or None,
    }


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git in this image
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def grouped(files: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Loose images as one entry: a lineage with a hundred thousand of them could not be read."""
    kept = {name: facts for name, facts in files.items() if "/" not in name}
    for name, facts in files.items():
        if "/" in name:
            folder = kept.setdefault(f"{name.partition('/')[0]}/", {"files": 0, "size": 0})
            folder["files"] += 1
            folder["size"] += facts["size"]
    return kept
