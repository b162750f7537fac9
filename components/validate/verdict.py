"""Makes a verdict from judgements: what failed, by how much, with examples, and what happens next."""

from typing import Any, Literal

import numpy as np

from components.validate.config import ESSENTIAL, ValidatePolicy
from components.validate.expectations import Judgement
from components.validate.measured import Line, Measured
from components.validate.suite import Between, Rule, Severity

RuleOutcome = dict[str, Any]  # as the verdict holds it
Status = Literal["clean", "warned", "quarantined", "stopped"]
_BECOMES: dict[Severity, Status] = {"warn": "warned", "quarantine": "quarantined", "stop": "stopped"}


def outcome(rule: Rule, judgement: Judgement | None, measured: Measured, policy: ValidatePolicy) -> RuleOutcome:
    """What became of one rule. `not_measured` is empty, or says why there was nothing to judge."""
    limit = limit_in_words(rule, policy)
    found: RuleOutcome = {
        "name": rule.name,
        "table": rule.table,
        "severity": policy.severity(rule),
        "what": rule.what,
        "why": rule.why,
        "limit": limit,
    }
    if judgement is None:
        reason = measured.why_absent(rule.table, rule.check.column)
        message = f"{rule.name}: not measured, because {reason}"
        return {
            **found,
            "passed": True,
            "not_measured": reason,
            "observed": None,
            "count": 0,
            "examples": [],
            "message": message,
            "expectation": "",
        }
    place = f"{rule.table}.{rule.check.column}"
    count = measured.counts.get(place, judgement.unexpected)
    examples = (measured.examples.get(place) or judgement.lines)[: policy.examples] if judgement.unexpected else []
    message = f"{rule.name}: {rule.what}"
    if judgement.unexpected:
        message = f"{rule.name}: expected that {rule.what}, but {_found(rule, judgement, count, limit)}"
    return {
        **found,
        "passed": judgement.success,
        "not_measured": "",
        "observed": _observed(rule, judgement, measured),
        "count": count,
        "examples": examples,
        "message": message,
        "expectation": judgement.expectation,
    }


def limit_in_words(rule: Rule, policy: ValidatePolicy) -> str:
    """Such as `<= 0.97 (max_item_ctr_auc)`."""
    check = rule.check
    words = []
    for sign, bound in (
        (">=", getattr(check, "low", None)),
        ("<=", getattr(check, "high", None)),
        ("for a share >=", getattr(check, "mostly", None)),
    ):
        value = policy.limit(bound)
        if value is not None and not (sign.startswith("for") and value == 1.0):
            words.append(f"{sign} {value:g}" + (f" ({bound})" if isinstance(bound, str) else ""))
    return " and ".join(words) or {"Distinct": "no value twice", "Filled": "not blank"}.get(
        type(check).__name__, "none"
    )


def _observed(rule: Rule, judgement: Judgement, measured: Measured) -> float | None:
    """The value that breaks the rule, or lies nearest to it."""
    if not isinstance(rule.check, Between):
        return None
    values = measured.tables[rule.table][rule.check.column].dropna().to_numpy(dtype=np.float64)
    if rule.table == "rows":
        return float(values.sum())
    if judgement.lines:
        values = np.array([line["value"] for line in judgement.lines], np.float64)
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


def compile_verdict(outcomes: list[RuleOutcome], quarantined: dict[str, int], version: str) -> dict[str, Any]:
    left = {_BECOMES[rule["severity"]] for rule in outcomes if not rule["passed"]}
    status: Status = next((s for s in ("stopped", "quarantined", "warned") if s in left), "clean")
    return {
        "passed": status != "stopped",
        "status": status,
        "rules": outcomes,
        "quarantined": quarantined,
        "great_expectations": version,
    }


def stop_message(verdict: dict[str, Any]) -> str:
    """The message if the run ends here."""
    stopped = [rule for rule in verdict["rules"] if not rule["passed"] and rule["severity"] == "stop"]
    aside = [rule for rule in verdict["rules"] if not rule["passed"] and rule["severity"] == "quarantine"]
    lines = [f"  {rule['message']}" for rule in [*stopped, *aside]]
    rules = "a rule that stops" if len(stopped) == 1 else f"{len(stopped)} rules that stop"
    examples = "Examples are in verdict.json and data_docs.html."
    return "\n".join([f"the data breaks {rules} a run:", *lines, examples, *_remedies(stopped)])


def _remedies(stopped: list[RuleOutcome]) -> list[str]:
    """What a person can do. It never names an option that would be refused, or with which training would fail later."""
    names = [rule["name"] for rule in stopped]
    fixed = [name for name in names if name in ESSENTIAL]
    if fixed:
        return [f"Mend the data and commit a new revision: training can't run on data that breaks {', '.join(fixed)}."]
    options = " ".join(f"--set validate.severities={name}=warn" for name in names)
    returning = [name for name in names if name in ("users-apart", "future-apart", "quarantine-small")]
    remedies = [
        "Mend the data and commit a new revision. A limit that is wrong for this data is set with "
        f"--set validate.<field>=<value>; to run in spite of it: {options}"
    ]
    if returning:
        remedies.append("If users come back and click items again in this log: --set validate.users=returning")
    return remedies
