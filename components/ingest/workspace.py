"""Is what lies in a checkout what its last commit says? A run on HEAD must not mean data that no commit holds."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from components.errors import StepError
from components.ingest.manifest import Entry, list_folder, md5_file
from components.ingest.revision import DATA_FILE
from components.progress import progress

_SHOWN = 3  # changed files named in the error


def refuse_uncommitted_pointer(checkout: Path) -> None:
    """`data.dvc` or `.dvc/config` changed without a commit: the run would silently use the old ones."""
    done = subprocess.run(
        ["git", "-C", str(checkout), "status", "--porcelain", "--", DATA_FILE, ".dvc/config"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    changed = [line[3:] for line in done.stdout.splitlines()]
    if changed:
        raise StepError(
            f"{' and '.join(changed)} changed since the last commit: keep it with git commit {' '.join(changed)}, "
            f"or undo it with git checkout HEAD -- {' '.join(changed)}"
        )


def refuse_changed_data(checkout: Path, entries: list[Entry]) -> None:
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
        shown = ", ".join(sorted(changes)[:_SHOWN]) + (f" and {len(changes) - _SHOWN} more" * (len(changes) > _SHOWN))
        raise StepError(
            f"data/ is not what {DATA_FILE} names: {shown}. Keep it with mmctr data add data and a commit, "
            "undo it with dvc checkout --force data.dvc, or run on it as it is with --data data"
        )
