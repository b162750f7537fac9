"""A replay in MLflow: one run for the replay, one below it for each policy, with its days as steps of its curves.

Nothing is written to the registry: what a replay promotes was approved by no person.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import StepError
from components.harness import flatten
from components.settings import config_hash, to_dict
from components.storage.files import sha256_json
from components.tracking.runs import TrackedRun, finished_below, nested_run, run_for
from components.tracking.server import connect, tracking_uri
from studies.replay.prepare import ReplayInputs

if TYPE_CHECKING:
    from studies.replay.step import ReplayOrder

Json = dict[str, Any]


class Record:
    """A server that fails costs no night: the same command writes what is missing."""

    def __init__(self, order: "ReplayOrder", inputs: ReplayInputs) -> None:
        identity = sha256_json([inputs.key, to_dict(order.plan), config_hash(order.config)])[:12]
        self.name = f"replay-{identity}"
        server = connect(tracking_uri(order.workspace))
        self.run: TrackedRun = run_for(self.name, order.config.experiment, server)
        self.run.set_tags({"mmctr.replay": "true", "mmctr.policies": ", ".join(p.name for p in order.policies)})
        self.run.log_params(dict(flatten({**to_dict(order.config), "replay": to_dict(order.plan)})))
        self._there = finished_below(self.run)
        self.trouble = ""

    def conclude(self, results: Json, files: Sequence[Path]) -> None:
        try:
            for policy in results["policies"]:
                name = f"{self.name} {policy['name']}"
                if name not in self._there:
                    _log(nested_run(self.run, name), policy)
            self.run.set_tags({"mmctr.advice": results["advice"]["sentence"]})
            self.run.log_files(files, "replay")
            self.run.finish("FAILED" if results["failed"] else "FINISHED")
        except StepError as error:
            self.trouble = str(error)


def _log(run: TrackedRun, policy: Json) -> None:
    run.set_tags({"mmctr.policy": policy["name"], "mmctr.promoted_by": "mmctr replay"})
    for night in policy["nights"]:
        if night["auc"] is not None:
            values = {"auc": night["auc"]["value"], "log_loss": night["log_loss"]}
            values["cpu_seconds"] = sum(night["cpu_seconds"].values())
            run.log_curve(night["night"], {f"served/{name}": float(value) for name, value in values.items()})
    numbers = {name: policy[name] for name in ("cpu_minutes", "trained", "promoted", "refused", "stopped")}
    if policy["auc"] is not None:
        numbers |= {"auc": policy["auc"]["value"], "calibration_error": policy["calibration_error"]}
    run.log_metrics({f"replay/{name}": float(value) for name, value in numbers.items()})
    run.finish("FINISHED")
