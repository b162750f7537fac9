"""A bare clone of a repository that is given as a URL: made once, and brought up to date at each call.

Git checks what it receives, but not all of what it reads from its own disk. So the clone is checked with `git fsck`
before it is used, unless it was found intact less than a day ago and none of its files has changed since. A damaged one
is named in the log, moved aside and made again.
"""

import hashlib
import os
import shutil
from pathlib import Path

from components.errors import StepError
from components.ingest.git import Answer, run_git, said
from components.storage.locks import alone
from components.storage.verified import once_a_day, remember, set_aside

_FETCH = ("-c", "gc.autoDetach=false", "fetch", "--quiet", "--prune", "--force", "--")  # no gc may go on behind us
# Such lines are about a commit that somebody wrote in an odd way, not about the disk.
_ODD_BUT_WHOLE = ("error in ", "warning in ", "notice: ")


def mirror(url: str, folder: Path) -> Path:
    """Runs at the same time wait for each other."""
    folder.mkdir(parents=True, exist_ok=True)
    clone = folder / hashlib.sha256(url.encode()).hexdigest()[:16]
    with alone(folder / f"{clone.name}.lock"):
        if clone.exists() and (reason := _damage(clone)):
            set_aside(clone, reason)
        if clone.is_dir():
            done = _fetch(clone, url)
        else:
            partial = clone.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            # Not --mirror: that would write the URL, and what secret it may hold, into the clone's config.
            done = run_git(folder, "init", "--quiet", "--bare", str(partial))
            if done.returncode == 0:
                done = _fetch(partial, url)
            if done.returncode == 0:
                partial.rename(clone)
        if done.returncode == 0:
            remember(clone, _files(clone))
    if done.returncode:
        raise StepError(f"{url} can't be cloned: {said(done)}; check the address, the network and the credentials")
    return clone


def _fetch(clone: Path, url: str) -> Answer:
    done = _git(clone, *_FETCH, url, "+refs/*:refs/*")
    if done.returncode == 0:
        head = _git(clone, "ls-remote", "--symref", "--", url, "HEAD").stdout.split()
        if head[:1] == [b"ref:"]:
            _git(clone, "symbolic-ref", "HEAD", os.fsdecode(head[1]))
    return done


def _damage(clone: Path) -> str | None:
    if not clone.is_dir():
        return "it is no folder"
    return once_a_day(clone, _files(clone), lambda: _fsck(clone))


def _fsck(clone: Path) -> str | None:
    done = _git(clone, "fsck", "--full", "--no-dangling", "--no-progress")
    lines = (done.stderr + done.stdout).decode("utf-8", "replace").splitlines()
    found = [line for line in lines if not line.startswith(_ODD_BUT_WHOLE)]
    return f"git fsck: {found[0]}" if done.returncode and found else None


def _git(clone: Path, *arguments: str) -> Answer:
    """With --git-dir: where git finds no repository, it would take the one around it, which is a user's checkout."""
    return run_git(clone, "--git-dir=.", "-c", "core.bare=true", *arguments)


def _files(clone: Path) -> set[str]:
    return {path.relative_to(clone).as_posix() for path in clone.rglob("*") if path.is_file()} - {"FETCH_HEAD"}
