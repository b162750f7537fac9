"""What a rule of the suite is made of."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["stop", "quarantine", "warn"]
Limit = float | str | None


@dataclass(frozen=True)
class Between:
    """Each value of `column` lies in [low, high], for at least `mostly` of the table's lines."""

    column: str
    low: Limit = None
    high: Limit = None
    mostly: float | str = 1.0


@dataclass(frozen=True)
class Filled:
    """Each text of `column` holds more than blanks, for at least `mostly` of the table's lines."""

    column: str
    mostly: float | str = 1.0


@dataclass(frozen=True)
class Empty:
    """Each text of `column` is empty: the measurement writes there what it found wrong."""

    column: str
    mostly: float | str = 1.0


@dataclass(frozen=True)
class Distinct:
    """No value of `column` comes twice."""

    column: str


Check = Between | Filled | Empty | Distinct


@dataclass(frozen=True)
class Rule:
    name: str
    table: str
    check: Check
    severity: Severity
    what: str  # what good data does
    why: str  # what it costs when it does not


def none(column: str) -> Between:
    """A count that must be zero."""
    return Between(column, high=0)
