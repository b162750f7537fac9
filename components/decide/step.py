"""Decides whether to train: what a schedule asks each night before it spends GPU hours.

It answers two questions, each only if the schedule asks it: do data, config and code differ from the champion's, and
has the data drifted so far from the champion's that training again is worth it? Where an answer can't be had, for
example because the champion's package is damaged, the answer is to train.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.artifacts import Artifacts
from components.errors import StepError, one_line
from components.statistics.drift import PSI_RULES, largest_psi
from components.storage.files import read_json, sha256_json
from model.checks import at_least

# Rules of validate that measure drift from the champion's training data. A PSI is compared with the schedule's own
# limit. The other rules have units of their own and keep the limits at which validate warns: validate.ks_warn,
# label_rate_warn, unseen_warn and embedding_warn.
OTHER_RULES = ("length-drift", "label-rate-drift", "unseen-items-drift", "embedding-drift")
OF_THE_START = (("train", "start"), ("train", "cold_above_drift"), ("embed", "projection"))
# There is nothing to measure where the data has no such column.
OPTIONAL_RULES = ("likes-drift", "views-drift", "features-drift", "tags-drift", "embedding-drift")


@dataclass(frozen=True)
class Freshness:
    train: bool
    reason: str


@dataclass(frozen=True)
class FreshnessPolicy:
    skip_unchanged: bool = False
    retrain_above_drift: float = 0.0  # the largest allowed PSI of a feature; 0: drift does not matter

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
    now = read_json(made.lineage / "lineage.json")
    try:
        changed = _changed(now, made.champion / "package", config)
    except StepError as error:
        return Freshness(True, f"the package of {name} can't be read: {one_line(error)}")
    if changed in ("config", "code"):
        return Freshness(True, f"the {changed} differs from {name}'s")
    if not changed and policy.skip_unchanged:
        return Freshness(False, f"data, config and code are those of {name}")
    if policy.retrain_above_drift:
        return _drifted(read_json(made.validation / "verdict.json"), policy.retrain_above_drift, name)
    return Freshness(True, f"the data differs from {name}'s")


def _changed(now: Mapping[str, Any], package: Path, config: Mapping[str, Any]) -> str:
    """The first of config, code and data that differs, or an empty text. What is not known counts as different."""
    if sha256_json(_learning(config)) != sha256_json(_learning(read_json(package / "config.json"))):
        return "config"
    then = _object(package / "lineage.json")
    if not _code(now) or _code(now) != _code(then):
        return "code"
    return "" if now["data_md5"] == then.get("data_md5") else "data"


def _learning(config: Any) -> Any:
    """A config without what a refresh policy changes from night to night: from where a training starts."""
    if not isinstance(config, Mapping):
        return config
    return {
        name: {field: value for field, value in section.items() if (name, field) not in OF_THE_START}
        if isinstance(section, Mapping)
        else section
        for name, section in config.items()
    }


def _object(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise StepError(f"{path} holds no JSON object")
    return value


def _code(lineage: Mapping[str, Any]) -> str:
    """The image's digest, or the commit where there is no image; empty when what ran is in no commit."""
    if lineage.get("image"):
        return str(lineage["image"])
    return "" if lineage.get("code_changed", True) else str(lineage.get("code_commit") or "")


def _drifted(verdict: Mapping[str, Any], psi_limit: float, name: str) -> Freshness:
    rules = {rule["name"]: rule for rule in verdict["rules"] if rule.get("observed") is not None}
    missing = [rule for rule in (*PSI_RULES, *OTHER_RULES) if rule not in rules and rule not in OPTIONAL_RULES]
    if missing:
        return Freshness(True, f"the drift against {name} could not be measured: {', '.join(missing)}")
    for rule in (rules[rule] for rule in OTHER_RULES if rule in rules):
        if not rule["passed"]:
            found = f"{_feature(rule['name'])} differs by {rule['observed']:.3f} from {name}"
            return Freshness(True, f"{found}, allowed is {rule['limit']}")
    worst, psi = largest_psi(verdict) or ("", 0.0)
    comparison = f"{_feature(worst)} drifted by a PSI of {psi:.3f} from {name}"
    if psi > psi_limit:
        return Freshness(True, f"{comparison}, above {psi_limit:g}")
    others = ", ".join(_feature(rule) for rule in OTHER_RULES if rule in rules)
    return Freshness(False, f"{comparison}, not above {psi_limit:g}; within their limits: {others}")


def _feature(rule: str) -> str:
    return rule.removesuffix("-drift").replace("-", " ")
