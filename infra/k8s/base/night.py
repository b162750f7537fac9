"""Fails when the night's run failed, was killed, or never came; an alert watches this job.

python3 night.py EXPERIMENT --hours 26
"""

import argparse
import sys
import time
from typing import Any

from components.tracking.ending import CAUSE, OUTCOME, STEP
from components.tracking.server import Server, connect

STATUS = "status"  # of the run in MLflow, among its tags


def newest(server: Server, experiment: str, since: float) -> dict[str, str] | None:
    """Tags and status of the newest run that began after `since` (seconds since 1970); none if there is none."""
    found = server.call("get_experiment_by_name", experiment)
    if found is None:
        return None
    later = f"attributes.start_time > {int(since * 1000)} and tags.`mmctr.pipeline_run` != ''"
    runs: list[Any] = server.call("search_runs", [found.experiment_id], later, max_results=1)
    return {**runs[0].data.tags, STATUS: runs[0].info.status} if runs else None


def judge(tags: dict[str, str] | None, hours: float) -> tuple[int, str]:
    if tags is None:
        return 1, f"no run began in the last {hours:g} hours: is the schedule paused, does Kubeflow Pipelines answer?"
    outcome = tags.get(OUTCOME, "")
    if outcome in ("registered", "gate failed", "skipped"):
        return 0, f"the newest run ended: {outcome}"
    if outcome:
        return 1, f"the newest run {outcome} in {tags.get(STEP) or 'no step'}: {tags.get(CAUSE, '')}"
    if tags.get(STATUS) == "RUNNING":  # a training may take longer than the night; after `hours` it is no excuse
        return 0, "the newest run is still going"
    return 1, "the newest run ended without an outcome"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment")
    parser.add_argument("--hours", type=float, default=26.0)
    given = parser.parse_args()
    status, message = judge(newest(connect(), given.experiment, time.time() - 3600 * given.hours), given.hours)
    print(message)
    sys.exit(status)


if __name__ == "__main__":
    main()
