"""One sign that a training went wrong, looked for with a number and a limit. A finding is advice; it stops no run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scipy.stats import norm

# Every test of a difference has this certainty, on one side. Seven signs are looked for in every run of every night, so
# at 95% a team would soon read false alarms.
CERTAINTY = 0.999
ONE_USER = "one user has all the rows, so nobody can tell how far chance reaches"


@dataclass(frozen=True)
class Finding:
    name: str
    title: str  # the sign itself
    warns: bool
    observed: float | None  # None: it could not be measured, and the sentence says why
    limit: float
    sentence: str
    advice: str = ""  # what to do if it warns


def not_measured(name: str, title: str, limit: float, why: str) -> Finding:
    return Finding(name, title, False, None, limit, f"Does not apply: {why}.")


def warnings_of(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The findings of `metrics.json` that a person must read. Earlier versions made none."""
    return [finding for finding in metrics.get("diagnosis", {}).get("findings", []) if finding["warns"]]


def surely_above(value: float, error: float) -> float:
    """The lower bound of a value with this standard error."""
    return value - float(norm.ppf(CERTAINTY)) * error
