"""Is there anything to learn? What a schedule asks each night before it spends GPU hours.

Two questions, each only when the schedule wants it asked: are data, config and code still the champion's, and has the
data drifted far enough from the champion's to train again. Whenever an answer can't be had, the answer is to train.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.artifacts import Artifacts
from components.storage.files import read_json, sha256_json
from model.checks import at_least

DRIFT_RULES = ("likes-drift", "views-drift", "tags-drift", "items-drift")  # those of validate that measure a PSI


@dataclass(frozen=True)
class Freshness:
    train: bool
    reason: str


@dataclass(frozen=True)
class FreshnessPolicy:
    skip_unchanged: bool = False
    retrain_above_drift: float = 0.0  # the largest PSI of a feature; 0 asks nothing

    def __post_init__(self) -> None:
        at_least("retrain_above_drift", self.retrain_above_drift, 0.0)


def judge(made: Artifacts, config: Mapping[str, Any], policy: FreshnessPolicy) -> Freshness:
    """`config` is the whole config of the run, as JSON holds it."""
    standing = read_json(made.champion / "champion.json")
    if standing.get("version") is None:
        return Freshness(True, "there is no champion yet")
    name = f"champion {standing['version']}"
    if not policy.skip_unchanged and not policy.retrain_above_drift:
        return Freshness(True, "the run was asked to train whatever has changed")
    changed = _changed(made, config)
    if changed in ("config", "code"):
        return Freshness(True, f"the {changed} differs from {name}'s")
    if not changed and policy.skip_unchanged:
        return Freshness(False, f"data, config and code are those of {name}")
    if policy.retrain_above_drift:
        return _drifted(read_json(made.validation / "verdict.json"), policy.retrain_above_drift, name)
    return Freshness(True, f"the data differs from {name}'s")


def _changed(made: Artifacts, config: Mapping[str, Any]) -> str:
    """The first thing that differs, or nothing. What is not known counts as different."""
    package = made.champion / "package"
    if sha256_json(config) != sha256_json(read_json(package / "config.json")):
        return "config"
    now, then = read_json(made.dataset / "lineage.json"), read_json(package / "lineage.json")
    if not _code(now) or _code(now) != _code(then):
        return "code"
    return "" if now["data_md5"] == then["data_md5"] else "data"


def _code(lineage: dict[str, Any]) -> str:
    """The image's digest, or the commit where there is no image; empty when what ran is in no commit."""
    if lineage.get("image"):
        return str(lineage["image"])
    return "" if lineage.get("code_changed", True) else str(lineage.get("code_commit") or "")


def _drifted(verdict: dict[str, Any], limit: float, name: str) -> Freshness:
    measured = {
        rule["name"]: float(rule["observed"])
        for rule in verdict["rules"]
        if rule["name"] in DRIFT_RULES and rule["observed"] is not None
    }
    if not measured:
        return Freshness(True, f"the drift against {name} could not be measured")
    worst = max(measured, key=lambda rule: measured[rule])
    comparison = f"{worst.removesuffix('-drift')} drifted by a PSI of {measured[worst]:.3f} from {name}"
    train = measured[worst] > limit
    return Freshness(train, f"{comparison}, {'above' if train else 'not above'} {limit:g}")
