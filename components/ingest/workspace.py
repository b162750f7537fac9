"""Checks that the data in a checkout are those of its last commit: a run on HEAD must not use data that no
commit has.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from components.errors import StepError
from components.ingest.git import printed
from components.ingest.manifest import ListedFile, list_folder, manifest_md5, md5_file
from components.ingest.revision import CONFIG, DATA_FILE
from components.process.progress import progress

_SHOWN = 3  # changed files named in the error
_LOOKED_AT = 100  # so many older commits of data.dvc are compared with data/


def refuse_uncommitted_pointer(checkout: Path, *files: str) -> None:
    """Refuses uncommitted changes of `data.dvc` or `.dvc/config`: the steps after this one would silently use the old
    ones.
    """
    status = printed(checkout, "status", "--porcelain", "--", *(files or (DATA_FILE, CONFIG))).splitlines()
    if not status:
        return
    changed = [line[3:] for line in status]
    new = any(line[0] in "?A" for line in status)  # then git has no earlier text to go back to
    paths, verb = " ".join(changed), "is" if len(changed) == 1 else "are"
    raise StepError(
        f"{' and '.join(changed)} {verb} not committed: keep it with git add {paths} and git commit, "
        f"or undo it with {'rm' if new else 'git checkout HEAD --'} {paths}"
    )


def refuse_changed_data(checkout: Path, entries: list[ListedFile]) -> None:
    """`data/`, if it is there, must hold exactly what the commit's data.dvc names."""
    data = checkout / "data"
    files = list_folder(data) if data.is_dir() else []
    if not files:
        return  # nothing was pulled here, or all of it was removed: the run fetches what it needs
    with progress("check data/", len(files), "files") as bar, ThreadPoolExecutor(2) as pool:
        found = {}
        for path, md5 in zip(files, pool.map(md5_file, files), strict=True):
            found[path.relative_to(data).as_posix()] = md5
            bar.advance()
    expected = {entry.path: entry.md5 for entry in entries}
    changes = (
        [f"{name} is changed" for name in expected.keys() & found.keys() if expected[name] != found[name]]
        + [f"{name} is gone" for name in expected.keys() - found.keys()]
        + [f"{name} is new" for name in found.keys() - expected.keys()]
    )
    if changes:
        older = _commit_with(checkout, manifest_md5([ListedFile(name, md5) for name, md5 in found.items()]))
        if older:
            raise StepError(
                f"data/ is that of an earlier revision, {older}: bring it up to date with dvc pull, "
                f"or run on it with --revision {older}"
            )
        shown = ", ".join(sorted(changes)[:_SHOWN]) + (f" and {len(changes) - _SHOWN} more" * (len(changes) > _SHOWN))
        raise StepError(
            f"data/ is not what {DATA_FILE} names: {shown}. Keep it with mmctr data add data and a commit, "
            "undo it with dvc checkout --force data.dvc, or run on it as it is with --data data"
        )


def _commit_with(checkout: Path, md5: str) -> str | None:
    """The newest commit whose data.dvc names this folder: then the folder was not edited, but belongs to an older
    commit.
    """
    found = printed(checkout, "log", f"-{_LOOKED_AT}", "--format=%h", f"-S{md5}.dir", "--", DATA_FILE).split()
    return next(
        (commit for commit in found if f"{md5}.dir" in printed(checkout, "show", f"{commit}:{DATA_FILE}")), None
    )
