"""What a revision of a repository says about its data: `data.dvc` and `.dvc/config` as git keeps them."""

import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from components.errors import StepError
from components.ingest.git import run_git, said
from components.ingest.mirror import mirror

DATA_FILE = "data.dvc"
CONFIG = ".dvc/config"


@dataclass(frozen=True)
class Revision:
    git: Path  # a checkout, or a bare clone
    checkout: Path | None  # the checkout's root, where `data/` and `.dvc/config.local` would be
    commit: str
    data_md5: str  # without `.dir`
    size: int  # bytes, of all files together
    config: str  # the text of .dvc/config

    def read(self, path: str) -> bytes | None:
        """A file at this commit; None if it holds none."""
        return _file_at(self.git, self.commit, path)


def resolve(repository: str, revision: str, cache: Path) -> Revision:
    """Finds the commit that a commit, tag or branch names, in a local repository or in a clone made under `cache`."""
    if not revision:
        raise StepError("revision is empty: name a commit, tag or branch, or HEAD")
    git, checkout = _open(repository, cache)
    commit = _commit(git, revision)
    if commit is None:
        raise StepError(
            f"revision {revision!r} is not in {repository}: push or fetch it, "
            "or name another commit, tag or branch (git log --oneline -- data.dvc)"
        )
    text = _file_at(git, commit, DATA_FILE)
    if text is None:
        raise StepError(f"{commit[:12]} of {repository} has no {DATA_FILE}: mmctr data add data, then commit it")
    md5, size = parse_pointer(text, commit)
    config = (_file_at(git, commit, CONFIG) or b"").decode("utf-8", "replace")
    return Revision(git, checkout, commit, md5, size, config)


def _file_at(git: Path, commit: str, path: str) -> bytes | None:
    done = run_git(git, "cat-file", "blob", f"{commit}:{path}")
    return done.stdout if done.returncode == 0 else None


def parse_pointer(text: bytes, commit: str) -> tuple[str, int]:
    try:
        (out,) = yaml.safe_load(text)["outs"]
        md5, size, path = str(out["md5"]), int(out.get("size", 0)), str(out["path"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError):
        raise StepError(f"{DATA_FILE} at {commit[:12]} is not what `dvc add data` writes: write it anew") from None
    if out.get("hash") != "md5":
        raise StepError(f"{DATA_FILE} at {commit[:12]} was written by DVC 2: `dvc add data` with DVC 3 and commit it")
    digest, dot, kind = md5.partition(".")
    if size < 0 or path.rstrip("/") != "data" or dot + kind != ".dir" or not is_md5(digest):
        raise StepError(f"{DATA_FILE} at {commit[:12]} versions {path!r} (md5 {md5}): it must version the folder data/")
    return digest, size


def is_md5(text: str) -> bool:
    return len(text) == 32 and set(text) <= set("0123456789abcdef")


def _open(repository: str, cache: Path) -> tuple[Path, Path | None]:
    path = Path(repository)
    if not path.is_dir():
        if "://" not in repository and ":" not in repository:
            raise StepError(f"{repository} is no folder and no URL: give the repository that holds {DATA_FILE}")
        return mirror(repository, cache / "repositories"), None
    top = run_git(path, "rev-parse", "--show-toplevel")
    if top.returncode == 0:
        root = Path(os.fsdecode(top.stdout).rstrip("\n"))
        return root, root
    bare = run_git(path, "rev-parse", "--is-bare-repository")
    if bare.returncode == 0 and bare.stdout.strip() == b"true":
        return path, None
    raise StepError(
        f"{path} is not in a git repository ({said(top)}): run from a clone, or take a plain folder with --data DIR"
    )


def _commit(git: Path, revision: str) -> str | None:
    for name in (revision, f"refs/remotes/origin/{revision}"):  # a branch that only the clone's origin has
        done = run_git(git, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if done.returncode == 0:
            return done.stdout.decode().split()[-1]
    return None
