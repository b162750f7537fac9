"""`mmctr doctor`: what is missing, before a run finds out."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import WorkspaceOption

_MARKS = {"ok": "ok     ", "unchecked": "-      ", "warning": "warning", "error": "error  "}


def doctor(
    env: Annotated[str | None, typer.Option("--env", "-e", help="Ask this environment's cluster too.")] = None,
    images: Annotated[Path | None, typer.Option(help="The digests that `make images` wrote.")] = None,
    workspace: WorkspaceOption = Path(".mmctr"),
) -> None:
    """Check Python, disk, GPU, data, credentials, MLflow, clock, and with --env the cluster; exit 1 on an error.

    A line starts with ok, warning or error, or with - where there was nothing to check.

    Examples: `mmctr doctor` · `mmctr doctor --env prod --images dist/images.json`
    """
    from pipelines.doctor import examine
    from pipelines.environment import load_environment

    environment = load_environment(env, images=images) if env else None
    findings = examine(environment, Path.cwd(), os.environ, workspace)
    for finding in findings:
        print(f"{_MARKS[finding.level]}  {finding.subject:<12} {finding.found}")
        if finding.level in ("warning", "error"):
            print(f"{'':<9}{'':<12} -> {finding.remedy}")
    if any(finding.level == "error" for finding in findings):
        raise SystemExit(1)
