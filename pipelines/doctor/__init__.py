"""Is everything there that a run needs? Each finding says what was found, and what to do when it is not enough.

Without an environment: this machine, and the servers that its variables name. With one: the cluster too.
"""

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pipelines.doctor.cluster import images, pipelines, trainer
from pipelines.doctor.finding import Finding
from pipelines.doctor.machine import disk, gpu, python
from pipelines.doctor.servers import clock, credentials, default_remote, mlflow, storage
from pipelines.environment import Environment

__all__ = ["Finding", "examine"]


def examine(environment: Environment | None, folder: Path, variables: Mapping[str, str]) -> list[Finding]:
    """All findings; a check that fails in an unforeseen way is a finding as well, never the end of the others."""
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("Python", lambda: python(sys.version_info[:2])),
        ("disk", lambda: disk(shutil.disk_usage(folder).free, folder)),
        ("GPU", gpu),
        ("data", lambda: storage(default_remote(folder))),
        ("credentials", lambda: credentials(default_remote(folder), variables)),
        ("MLflow", lambda: mlflow(variables)),
        ("clock", lambda: clock(variables)),
    ]
    if environment is not None:
        checks += [
            ("images", lambda: images(environment)),
            ("Pipelines", lambda: pipelines(environment)),
            ("Trainer", lambda: trainer(environment)),
        ]
    return [_guarded(subject, check) for subject, check in checks]


def _guarded(subject: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 (the doctor's business is to report whatever is wrong)
        words = " ".join(str(error).split())[:200]
        return Finding(subject, "error", f"{type(error).__name__}: {words}", "report this with `mmctr doctor`'s output")
