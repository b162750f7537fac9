"""Holds the fields of a frozen config to a table: the default, the smallest and the largest value of each number."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

Row = tuple[float, float, float | None]  # the default, the smallest value, the largest one; None: there is none


def assert_ranges(config: Any, table: Mapping[str, Row], room: str) -> None:
    """Both ends of a range are taken, and the next number beyond each is refused by the field's name."""
    for field, (default, low, high) in table.items():
        assert getattr(config, field) == default, field
        beyond = [_next(low, -1)]
        replace(config, **{field: low})
        if high is not None:
            replace(config, **{field: high})
            beyond.append(_next(high, 1))
        for value in (*beyond, math.nan):
            with pytest.raises(ValueError, match=rf"{room}\.{field}"):
                replace(config, **{field: value})


def assert_other_defaults(config: Any, table: Mapping[str, Row], others: Mapping[str, object]) -> None:
    """Every field that is not in the table of numbers has the default that is named here."""
    assert {name: getattr(config, name) for name in config.__dataclass_fields__ if name not in table} == others


def _next(value: float, direction: int) -> float:
    return value + direction if isinstance(value, int) else math.nextafter(value, direction * math.inf)
