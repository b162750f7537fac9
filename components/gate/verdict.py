"""From measurements and a policy to a decision, with every rule's numbers."""

from dataclasses import asdict
from typing import Any

from components.gate.bounds import tested_bounds
from components.gate.config import GatePolicy
from components.gate.rules import RULES, RuleResult


def decide(metrics: dict[str, Any], validation: dict[str, Any], policy: GatePolicy) -> dict[str, Any]:
    """Every rule is checked, also after one has failed: whoever improves a candidate needs the whole list."""
    rules = [rule(metrics, validation, policy) for rule in RULES]
    champion, tested = metrics["champion"], tested_bounds(metrics, policy)
    return {
        "passed": all(rule.passed for rule in rules),
        "first_model": champion["status"] == "none",
        "champion_version": champion["version"],
        "summary": summary(rules, metrics, policy, tested["standing"]),
        "rules": [asdict(rule) for rule in rules],
        "tested": tested,
        "policy": asdict(policy),
    }


def summary(rules: list[RuleResult], metrics: dict[str, Any], policy: GatePolicy, standing: str | None) -> str:
    failed = [rule for rule in rules if not rule.passed]
    status = metrics["champion"]["status"]
    asked = sum(rule.applies for rule in rules)
    if failed:
        names = ", ".join(f"“{rule.title}”" for rule in failed)
        stays = "There is no champion yet." if status == "none" else "The champion stays."
        return f"{len(failed)} of {asked} rules failed: {names}. {stays}"
    if status == "none":
        return f"All {asked} rules hold. There is no champion yet, so only absolute rules were asked."
    if status == "unreadable":
        return f"All {asked} rules hold, but the champion could not score this data, so only absolute rules were asked."
    gain = metrics["comparison"][policy.unit]["value"]
    surely = {
        "better": "the model is surely better",
        "worse": "the model is surely a little worse, but within the allowed margin",
        "open": "neither model is shown to be better",
    }
    champion = f"champion version {metrics['champion']['version']}"
    return f"All {asked} rules hold. AUC is {gain:+.4f} against {champion}: {surely[str(standing)]}."
