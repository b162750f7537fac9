"""Checks for frozen configs: an error names the field, the value and what is allowed."""

from collections.abc import Sequence


def one_of(field: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        raise ValueError(f"{field} = {value!r}: must be one of {', '.join(repr(a) for a in allowed)}")


def at_least(field: str, value: float, minimum: float) -> None:
    if not value >= minimum:  # also refuses NaN
        raise ValueError(f"{field} = {value!r}: must be at least {minimum}")


def between(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{field} = {value!r}: must lie in [{low}, {high}]")
