"""How a pipeline run ends, by its own record: tags of its MLflow run.

Kubeflow can't be asked. What it hands to an exit handler is the metadata store's state of the steps' group: `RUNNING`
where a branch was not taken or a launcher died, `COMPLETE` otherwise, never `SUCCEEDED`, and no error text (Kubeflow
Pipelines 2.17.0: backend/src/v2/driver/resolve.go:458-478 and backend/src/v2/metadata/client.go:818-862).
So the step that concludes a run says so, a step that fails says where and why, and each step says when it began. A run
that says neither how it was concluded nor why it failed was killed, or its last step ran out of time.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["registered", "items refreshed", "gate failed", "skipped", "failed", "killed"]
OUTCOME, STEP, CAUSE, BEGAN = "mmctr.outcome", "mmctr.failed_step", "mmctr.failure", "mmctr.began"
LONGEST_CAUSE = 500
# A pod's deadline counts from before its images are pulled and its inputs fetched, a step's own clock from after that.
NEARLY = 0.8


@dataclass(frozen=True)
class Ending:
    outcome: Outcome
    step: str = ""  # where it failed or was killed
    cause: str = ""

    @property
    def status(self) -> Literal["FINISHED", "FAILED", "KILLED"]:
        """In MLflow's words."""
        if self.outcome == "failed":
            return "FAILED"
        return "KILLED" if self.outcome == "killed" else "FINISHED"

    def tags(self) -> dict[str, str]:
        return {OUTCOME: self.outcome, STEP: self.step, CAUSE: self.cause[:LONGEST_CAUSE]}


def concluded(outcome: Outcome) -> dict[str, str]:
    """What a step that concludes the run records; an earlier try's failure is forgotten."""
    return Ending(outcome).tags()


def began(step: str, now: float, minutes: float) -> dict[str, str]:
    """What each step records at its start. `minutes` is its time limit, 0 where it has none."""
    return {BEGAN: json.dumps({"step": step, "at": round(now, 3), "minutes": minutes})}


def recovered(tags: Mapping[str, str], step: str) -> dict[str, str]:
    """What a step records when it succeeds after a failed try of its own; nothing if another step had failed."""
    return {OUTCOME: "", STEP: "", CAUSE: ""} if tags.get(STEP) == step else {}


def terminated(step: str, seconds: float, minutes: float) -> Ending:
    """The ending of a step that was asked to end after `seconds` of work."""
    if minutes and seconds >= NEARLY * 60 * minutes:
        return Ending("failed", step, f"it was ended after {seconds / 60:.0f} min by its time limit of {minutes:g} min")
    cause = f"it was ended from outside after {seconds / 60:.0f} min: the run was terminated, or its node was drained"
    return Ending("killed", step, cause)


def ending_of(tags: Mapping[str, str], now: float, state: str) -> Ending:
    """How the run ended. `state` is Kubeflow's state, which is only mentioned in the text."""
    match tags.get(OUTCOME):
        case "registered" | "items refreshed" | "gate failed" | "skipped" | "failed" | "killed" as outcome:
            return Ending(outcome, tags.get(STEP, ""), tags.get(CAUSE, ""))
    last = json.loads(tags.get(BEGAN, "{}"))
    if not last:
        return Ending("killed", "", f"no step began (Kubeflow's state of the steps: {state})")
    seconds = now - last["at"]
    if last["minutes"] and seconds >= 60 * last["minutes"]:
        return Ending("failed", last["step"], f"its time limit of {last['minutes']:g} min ended it")
    cause = "neither it nor a step after it left a word: the run was terminated, or a pod or node was lost"
    return Ending("killed", last["step"], f"{cause} (Kubeflow's state of the steps: {state})")
