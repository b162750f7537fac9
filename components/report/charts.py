"""The pictures of the report, from the numbers of metrics.json and curves.json."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from components.report.plot import Plot, round_ticks
from components.report.words import count, fixed, percent

Json = dict[str, Any]
NAMES = {
    "candidate": "Candidate",
    "champion": "Champion",
    "history_blind": "History-blind baseline",
    "item_click_rate": "Item's click rate",
}


def roc(curves: Json, operating: Json) -> Markup:
    plot = Plot(
        "ROC curve",
        "For each threshold, the share of clicks found against the share of other rows shown by mistake.",
        (0, 1),
        (0, 1),
        height=360,
    )
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    plot.axes("Others shown by mistake", "Clicks found", ticks, ticks, _percent, _percent)
    plot.line([(0, 0), (1, 1)], "guess")
    for name in ("item_click_rate", "history_blind", "champion", "candidate"):
        if name in curves:
            plot.line(curves[name], name)
    found = operating["recall"]
    others = (operating["rows"] - operating["rows"] * operating["precision"]) / operating["others"]
    plot.dots([(others, found)], "candidate", [f"best {percent(operating['share'], 0)} of rows shown"])
    return plot.svg()


def calibration(candidate: Sequence[Json], champion: Sequence[Json] | None) -> Markup:
    bins = [*candidate, *(champion or [])]
    top = min(1.0, 1.05 * max([max(b["predicted"], b["observed"]) for b in bins] or [1.0]))
    plot = Plot(
        "Calibration",
        "Predicted against seen click rate, for rows grouped by their prediction; the diagonal is perfect.",
        (0, top),
        (0, top),
        height=360,
    )
    ticks = round_ticks(0, top)
    plot.axes("Predicted click rate", "Seen click rate", ticks, ticks, _percent, _percent)
    plot.line([(0, 0), (top, top)], "guess")
    for name, parts in (("champion", champion), ("candidate", candidate)):
        if parts:
            points = [(b["predicted"], b["observed"]) for b in parts]
            titles = [
                f"{NAMES[name]}: predicted {percent(b['predicted'])}, seen {percent(b['observed'])}, "
                f"{count(b['rows'])} rows"
                for b in parts
            ]
            plot.line(points, name)
            if name == "candidate":
                for b in parts:
                    plot.spread(b["predicted"], b["low"], min(b["high"], top), name)
            plot.dots(points, name, titles)
    return plot.svg()


def training(series: dict[str, Sequence[tuple[float, float]]], x_label: str, y_label: str, mark: Json | None) -> Markup:
    """Lines over steps or epochs; `mark` is a vertical line such as the step that was kept."""
    points = [p for line in series.values() for p in line]
    low_x, high_x = min(x for x, _ in points), max(x for x, _ in points)
    low_y, high_y = min(y for _, y in points), max(y for _, y in points)
    pad = (high_y - low_y) * 0.08 or abs(high_y) * 0.02 or 0.1
    plot = Plot(
        y_label,
        f"{', '.join(series)} over {x_label.lower()}, from {fixed(low_y)} to {fixed(high_y)}.",
        (low_x, high_x if high_x > low_x else low_x + 1),
        (low_y - pad, high_y + pad),
    )
    ticks = round_ticks(low_y - pad, high_y + pad)
    places = max(0, *(len(f"{t:.6f}".rstrip("0").partition(".")[2]) for t in ticks))
    whole = [tick for tick in round_ticks(*plot.x) if tick == int(tick)]  # there is no half an epoch
    plot.axes(x_label, "", whole, ticks, lambda v: f"{v:,g}", lambda v: f"{v:.{places}f}")
    if mark is not None:
        plot.mark(mark["x"], mark["text"])
    for (name, line), style in zip(series.items(), ("candidate", "champion", "history_blind"), strict=False):
        plot.line(line, style)
        if len(line) <= 40:
            plot.dots(line, style, [f"{name}: {fixed(y)}" for _, y in line])
    return plot.svg()


@dataclass(frozen=True)
class Track:
    """One shared horizontal scale for many one-line pictures: each is an SVG as wide as its table cell."""

    low: float
    high: float

    @property
    def ticks(self) -> list[float]:
        return round_ticks(self.low, self.high, 5)

    def at(self, value: float) -> str:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return f"{2 + 96 * share:.2f}%"

    def interval(
        self,
        estimate: Json,
        style: str,
        lines: Sequence[tuple[float, str]],
        text: str,
        points: Sequence[tuple[float, str]] = (),
    ) -> Markup:
        """A dot with its interval, over vertical lines at given values; `points` are further, smaller dots."""
        lines = [*((tick, "faint") for tick in self.ticks), *lines]
        marks = Markup("").join(
            Markup('<line class="{}" x1="{}" x2="{}" y1="0" y2="100%"/>').format(kind, self.at(value), self.at(value))
            for value, kind in lines
        )
        low, high = estimate["low"], estimate["high"]
        reach = Markup("")
        if low is not None and high is not None:
            line = Markup('<line class="reach {}" x1="{}" x2="{}" y1="50%" y2="50%"/>')
            reach = line.format(style, self.at(low), self.at(high))
        dot = Markup('<circle class="dot {}" cx="{}" cy="50%" r="4.5"/>').format(style, self.at(estimate["value"]))
        small = Markup("").join(
            Markup('<circle class="point {}" cx="{}" cy="50%" r="3"/>').format(kind, self.at(value))
            for value, kind in points
        )
        head = Markup('<svg class="track" role="img" aria-label="{}"><title>{}</title>').format(text, text)
        return head + marks + reach + small + dot + Markup("</svg>")

    def scale(self, text_of: Any) -> Markup:
        ticks = self.ticks
        return (
            Markup('<svg class="track scale" aria-hidden="true">')
            + Markup("").join(
                Markup('<text class="tick middle" x="{}" y="14">{}</text>').format(self.at(tick), text_of(tick))
                for tick in ticks
            )
            + Markup("</svg>")
        )


def track(estimates: Sequence[Json], always: Sequence[float], reach: float) -> Track:
    """A scale that shows every value, and every interval up to `reach` beyond the outermost value."""
    values = [e["value"] for e in estimates] + list(always)
    low, high = min(values), max(values)
    lows = [e["low"] for e in estimates if e["low"] is not None]
    highs = [e["high"] for e in estimates if e["high"] is not None]
    low, high = max(low - reach, min([low, *lows])), min(high + reach, max([high, *highs]))
    pad = 0.04 * (high - low) or 0.01
    return Track(low - pad, high + pad)


def _percent(value: float) -> str:
    return f"{100 * value:g}%"
