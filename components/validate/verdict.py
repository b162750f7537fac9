"""From judgements to a verdict: what failed, by how much, with examples, and what happens now."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from components.validate.config import ValidatePolicy
from components.validate.expectations import Judgement
from components.validate.measured import Line, Measured
from components.validate.suite import Between, Rule, Severity

Status = Literal["clean", "warned", "quarantined", "stopped"]
_LEFT_ASIDE: dict[Severity, Status] = {"warn": "warned", "quarantine": "quarantined", "stop": "stopped"}


@dataclass(frozen=True)
class Outcome:
    """What became of one rule. `measured` is empty, or says why there was nothing to judge."""

    name: str
    table: str
    severity: Severity
    passed: bool
    not_measured: str
    observed: float | None
    limit: str
    count: int
    examples: list[Line]
    message: str
    what: str
    why: str
    expectation: str


def outcome(rule: Rule, judgement: Judgement | None, measured: Measured, policy: ValidatePolicy) -> Outcome:
    severity, limit = policy.severity(rule), limit_in_words(rule, policy)
    place = f"{rule.table}.{rule.check.column}"
    if judgement is None:
        reason = measured.why_absent(rule.table, rule.check.column)
        return Outcome(rule.name, rule.table, severity, True, reason, None, limit, 0, [],
                       f"{rule.name}: not measured, because {reason}", rule.what, rule.why, "")  # fmt: skip
    count = measured.counts.get(place, judgement.unexpected)
    examples = (measured.examples.get(place) or judgement.lines)[: policy.examples] if judgement.unexpected else []
    observed = _observed(rule, measured)
    if judgement.success and not judgement.unexpected:
        message = f"{rule.name}: {rule.what}"
    else:
        message = f"{rule.name}: expected that {rule.what}, but {_found(rule, judgement, count, limit)}"
    return Outcome(rule.name, rule.table, severity, judgement.success, "", observed, limit, count, examples, message,
                   rule.what, rule.why, judgement.expectation)  # fmt: skip


def limit_in_words(rule: Rule, policy: ValidatePolicy) -> str:
    """Such as `<= 0.97 (max_item_ctr_auc)`."""
    check = rule.check
    words = []
    for sign, bound in ((">=", getattr(check, "low", None)), ("<=", getattr(check, "high", None)),
                        ("for a share >=", getattr(check, "mostly", None))):  # fmt: skip
        value = policy.limit(bound)
        if value is not None and not (sign.startswith("for") and value == 1.0):
            words.append(f"{sign} {value:g}" + (f" ({bound})" if isinstance(bound, str) else ""))
    return " and ".join(words) or {"Distinct": "no value twice", "Filled": "not blank"}.get(
        type(check).__name__, "none"
    )


def _observed(rule: Rule, measured: Measured) -> float | None:
    """The value that lies nearest to breaking the rule, or furthest beyond."""
    if not isinstance(rule.check, Between):
        return None
    values = measured.tables[rule.table][rule.check.column].dropna().to_numpy(dtype=np.float64)
    if rule.table == "rows":
        return float(values.sum())
    return float(values.min() if rule.check.high is None else values.max())


def _found(rule: Rule, judgement: Judgement, count: int, limit: str) -> str:
    shown = judgement.lines[:3]
    where = "; ".join(_name(line) + ": " + _short(line["value"]) for line in shown)
    where += f"; and {judgement.unexpected - len(shown)} more" if judgement.unexpected > len(shown) else ""
    if rule.table == "rows":
        return f"{count:,} row{'s do' if count != 1 else ' does'} not ({where})"
    if rule.table in ("items", "images"):
        return f"{count:,} of {judgement.checked:,} do not ({where}); allowed: {limit}"
    if isinstance(rule.check, Between):
        return f"the {rule.check.column.replace('_', ' ')} is not {limit} ({where})"
    return f"this was found: {where}"


def _name(line: Line) -> str:
    key, name = next(iter(line.items()))
    return f"item {name}" if key == "item_id" else str(name)


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 300 else f"{text[:300]}…"


def compile_verdict(outcomes: list[Outcome], quarantined: dict[str, int], version: str) -> dict[str, Any]:
    failed = [o for o in outcomes if not o.passed]
    left = {_LEFT_ASIDE[o.severity] for o in failed}
    status: Status = next((s for s in ("stopped", "quarantined", "warned") if s in left), "clean")
    return {
        "passed": status != "stopped",
        "status": status,
        "rules": [asdict(o) for o in outcomes],
        "quarantined": quarantined,
        "great_expectations": version,
    }


def stop_message(verdict: dict[str, Any]) -> str:
    """What a person reads when the run ends here."""
    stopped = [rule for rule in verdict["rules"] if not rule["passed"] and rule["severity"] == "stop"]
    aside = [rule for rule in verdict["rules"] if not rule["passed"] and rule["severity"] == "quarantine"]
    lines = [f"  {rule['message']}" for rule in [*stopped, *aside]]
    return "\n".join(
        [
            f"the data breaks {len(stopped)} rule{'s' * (len(stopped) != 1)} that stop a run:",
            *lines,
            "Examples are in verdict.json and data_docs.html. Mend the data and commit a new revision; a limit that is "
            "wrong for this data is set with --set validate.<field>, a severity with "
            f"--set validate.severities={stopped[0]['name']}=warn",
        ]
    )
