"""Numbers as people read them."""

from collections.abc import Callable
from typing import Any


def fixed(value: float | None, digits: int = 4) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 4) -> str:
    """With its sign, and a true minus: a hyphen is hard to see before a digit."""
    if value is None:
        return "–"
    text = f"{value:+.{digits}f}"
    return f"±{text[1:]}" if float(text) == 0 else text.replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}%".replace("-", "−")


def whole_percent(value: float) -> str:
    return f"{100 * value:.3g}%"


def points(value: float | None, digits: int = 1) -> str:
    """A distance between two shares, in percentage points."""
    return "–" if value is None else f"{100 * value:.{digits}f} pts".replace("-", "−")


def count(value: float | None) -> str:
    return "–" if value is None else f"{round(value):,}"


def size(bytes_: float | None) -> str:
    if bytes_ is None:
        return "–"
    value = float(bytes_)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def chance(p: float | None) -> str:
    """A p-value, without digits that mean nothing."""
    if p is None:
        return "–"
    return "less than 0.0001" if p < 0.0001 else f"{p:.4f}"


def p_value(p: float | None) -> str:
    """The same in a table, where there is no room for words."""
    return "–" if p is None else "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def limit(value: Any) -> str:
    """What a rule observed or allows: a count, a share or a word."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    if not isinstance(value, float):
        return str(value)
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return (f"{value:.0e}" if value and float(text) == 0 else text).replace("-", "−")


def bound(text: str) -> str:
    """A limit such as `<= 0.25 (psi_warn)` without the name of its setting."""
    return text.partition(" (")[0].replace("<=", "≤").replace(">=", "≥")


SHOWN: dict[str, Callable[[Any], str]] = {
    f.__name__: f
    for f in (fixed, signed, percent, whole_percent, points, count, size, chance, p_value, duration, limit, bound)
}
SHOWN_WITH_DIGITS: dict[str, Callable[[Any, int], str]] = {f.__name__: f for f in (fixed, signed, percent, points)}
