from typing import Any

import pytest

from components.report import words
from components.report.plot import round_ticks


@pytest.mark.parametrize(
    ("form", "arguments", "text"),
    [
        ("fixed", (0.79294,), "0.7929"),
        ("fixed", (-0.5, 2), "−0.50"),
        ("fixed", (None,), "–"),
        ("signed", (0.0123,), "+0.0123"),
        ("signed", (-0.0123,), "−0.0123"),
        ("signed", (-0.00001,), "±0.0000"),
        ("percent", (0.7929,), "79.3%"),
        ("whole_percent", (0.95,), "95%"),
        ("whole_percent", (0.999,), "99.9%"),
        ("points", (0.0111,), "1.1 pts"),
        ("count", (3_600_000,), "3,600,000"),
        ("size", (48_123_456,), "48.1 MB"),
        ("size", (12,), "12 B"),
        ("size", (3e15,), "3000.0 TB"),
        ("chance", (0.03,), "0.0300"),
        ("chance", (1e-9,), "less than 0.0001"),
        ("duration", (42.4,), "42 s"),
        ("duration", (312,), "5 min"),
        ("duration", (7200,), "2.0 h"),
        ("limit", (1000,), "1,000"),
        ("limit", (-0.005,), "−0.005"),
        ("limit", (0.03743,), "0.0374"),
        ("limit", (3e-7,), "3e−07"),
        ("limit", (0.0,), "0"),
        ("limit", (True,), "yes"),
        ("limit", ("clean",), "clean"),
        ("limit", (None,), "–"),
        ("bound", ("<= 0.25 (psi_warn)",), "≤ 0.25"),
        ("bound", (">= 1 and <= 2",), "≥ 1 and ≤ 2"),
    ],
)
def test_numbers_as_people_read_them(form: str, arguments: tuple[Any, ...], text: str) -> None:
    assert getattr(words, form)(*arguments) == text


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.023, 0.061, [-0.02, 0, 0.02, 0.04, 0.06]),
        (0.0, 0.0004, [0, 0.0001, 0.0002, 0.0003, 0.0004]),
        (3.0, 12000.0, [5000, 10000]),
        (0.7, 0.7, [0.7]),
    ],
)
def test_ticks_are_round_and_inside(low: float, high: float, ticks: list[float]) -> None:
    assert round_ticks(low, high) == ticks
