"""Checks of config fields, whose errors name the field, the value and what is allowed; and one of arrays."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # every command imports the configs, which would bring numpy along
    import numpy as np


def one_of(field: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        raise ValueError(f"{field} = {value!r}: must be one of {', '.join(repr(a) for a in allowed)}")


def at_least(field: str, value: float, minimum: float) -> None:
    if not value >= minimum:  # also refuses NaN
        raise ValueError(f"{field} = {value!r}: must be at least {minimum}")


def between(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{field} = {value!r}: must lie in [{low}, {high}]")


def all_finite(values: "np.ndarray[Any, Any]") -> bool:
    """NaN and infinity show in the smallest or the largest value; finding those two takes no memory."""
    return math.isfinite(values.min(initial=0)) and math.isfinite(values.max(initial=0))
