"""A small plot as inline SVG: a frame with two axes, lines and dots. Colours come from the page's style sheet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

Points = Sequence[Sequence[float]]
LEFT, RIGHT, TOP, BOTTOM = 58, 20, 12, 44  # room for the axes, in units of the view box


@dataclass
class Plot:
    """`title` and `description` are read out to those who cannot see it."""

    title: str
    description: str
    x: tuple[float, float]
    y: tuple[float, float]
    width: int = 380
    height: int = 300
    _parts: list[Markup] = field(default_factory=list)

    def axes(
        self,
        x_label: str,
        y_label: str,
        x_ticks: Sequence[float],
        y_ticks: Sequence[float],
        x_text: Callable[[float], str],
        y_text: Callable[[float], str],
    ) -> None:
        bottom, left = self.height - BOTTOM, LEFT
        for tick in y_ticks:
            at = self._y(tick)
            self._add('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>', left, self.width - RIGHT, at, at)
            self._add('<text class="tick end" x="{}" y="{}">{}</text>', left - 6, at + 4, y_text(tick))
        for tick in x_ticks:
            at = self._x(tick)
            self._add('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>', at, at, TOP, bottom)
            self._add('<text class="tick middle" x="{}" y="{}">{}</text>', at, bottom + 17, x_text(tick))
        middle = (left + self.width - RIGHT) / 2
        self._add('<text class="label middle" x="{}" y="{}">{}</text>', middle, self.height - 6, x_label)
        across = (TOP + bottom) / 2
        self._add('<text class="label middle" transform="translate(11 {}) rotate(-90)">{}</text>', across, y_label)

    def line(self, points: Points, style: str) -> None:
        path = " ".join(f"{self._x(x):g},{self._y(y):g}" for x, y in points)
        self._add('<polyline class="line {}" points="{}"/>', style, path)

    def dots(self, points: Points, style: str, titles: Sequence[str]) -> None:
        for (x, y), title in zip(points, titles, strict=True):
            self._add(
                '<circle class="dot {}" cx="{}" cy="{}" r="4"><title>{}</title></circle>',
                style,
                self._x(x),
                self._y(y),
                title,
            )

    def spread(self, x: float, low: float, high: float, style: str) -> None:
        """A vertical interval."""
        at = self._x(x)
        self._add(
            '<line class="spread {}" x1="{}" x2="{}" y1="{}" y2="{}"/>', style, at, at, self._y(low), self._y(high)
        )

    def mark(self, x: float, text: str) -> None:
        """A vertical line with a word at its head."""
        at = self._x(x)
        self._add('<line class="mark" x1="{}" x2="{}" y1="{}" y2="{}"/>', at, at, TOP, self.height - BOTTOM)
        side = "end" if at > self.width / 2 else ""
        offset = -5 if side else 5
        self._add('<text class="tick {}" x="{}" y="{}">{}</text>', side, at + offset, self.height - BOTTOM - 8, text)

    def svg(self) -> Markup:
        head = Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>').format(
            self.width, self.height, f"{self.title}. {self.description}", self.title
        )
        return head + Markup("").join(self._parts) + Markup("</svg>")

    def _x(self, value: float) -> float:
        low, high = self.x
        return round(LEFT + (value - low) / (high - low) * (self.width - LEFT - RIGHT), 2)

    def _y(self, value: float) -> float:
        low, high = self.y
        return round(self.height - BOTTOM - (value - low) / (high - low) * (self.height - TOP - BOTTOM), 2)

    def _add(self, pattern: str, *values: object) -> None:
        self._parts.append(Markup(pattern).format(*[escape(value) for value in values]))


def round_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Even steps of 1, 2 or 5 times a power of ten that lie in [low, high]."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** _floor_log10(raw)
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first = -int(-low // step)
    return [round(k * step, 10) for k in range(first, int(high / step + 1e-9) + 1)]


def _floor_log10(value: float) -> int:
    exponent = 0
    while value >= 10:
        value, exponent = value / 10, exponent + 1
    while value < 1:
        value, exponent = value * 10, exponent - 1
    return exponent
