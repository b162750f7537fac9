"""The largest drift of a feature from the champion's training data, as validation has measured it."""

from collections.abc import Mapping
from typing import Any

# Validation's rules that measure a population stability index (PSI). The rule of the declared features is there where
# the data set declares some, and so on.
PSI_RULES = ("likes-drift", "views-drift", "features-drift", "tags-drift", "items-drift")


def largest_psi(verdict: Mapping[str, Any]) -> tuple[str, float] | None:
    """The rule with the largest PSI in validation's verdict.json; None if none was measured, as without a champion."""
    measured = {rule["name"]: rule.get("observed") for rule in verdict["rules"] if rule["name"] in PSI_RULES}
    found = {name: float(observed) for name, observed in measured.items() if observed is not None}
    return max(found.items(), key=lambda one: one[1]) if found else None
