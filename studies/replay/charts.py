"""The pictures of a replay's page, from results.json."""

from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from components.report.charts import track
from components.report.plot import Plot, round_ticks
from components.report.words import fixed, signed

Json = dict[str, Any]
SERIES = 6  # lines that can be told apart in one picture
_WIDE, _HIGH = 760, 300
_LABELS = 10  # dates below a picture, at most


def style(index: int) -> str:
    return f"s{index % SERIES}"


def policies(results: Json) -> Json:
    """Every policy's AUC, and its difference to the best, each on one scale."""
    lines = [(n, policy) for n, policy in enumerate(results["policies"]) if policy["auc"] is not None]
    if not lines:
        return {"areas": "", "differences": "", "lines": []}
    areas = track([policy["auc"] for _, policy in lines], [], reach=0.05)
    gaps = track([policy["difference"] for _, policy in lines], [0.0, -results["advice"]["alike"]], reach=0.05)
    marks = [(0.0, "zero"), (-results["advice"]["alike"], "limit")]
    return {
        "areas": areas.scale(lambda tick: f"{tick:.3f}".rstrip("0")),
        "differences": gaps.scale(lambda tick: f"{tick:+g}".replace("-", "−") if tick else "0"),
        "lines": [
            {
                "index": n,
                "policy": policy,
                "area": areas.interval(
                    policy["auc"], "candidate", [], f"{policy['name']}: {_reach(policy['auc'], fixed)}"
                ),
                "gap": gaps.interval(
                    policy["difference"], _tone(policy["difference"]), marks, _reach(policy["difference"], signed)
                ),
            }
            for n, policy in lines
        ],
    }


def cost_and_quality(results: Json) -> Markup | None:
    """A dot for each policy; the line joins those that no other policy beats in both."""
    shown = [(n, policy) for n, policy in enumerate(results["policies"]) if policy["auc"] is not None]
    if not shown:
        return None
    values = [bound for _, policy in shown for bound in _bounds(policy["auc"])]
    pad = 0.08 * (max(values) - min(values)) or 0.01
    top = max(policy["cpu_minutes"] for _, policy in shown) * 1.12 or 1.0
    plot = Plot(
        "Cost and quality",
        "; ".join(f"{p['name']}: {p['cpu_minutes']:.2f} CPU minutes, AUC {fixed(p['auc']['value'])}" for _, p in shown),
        (-0.04 * top, top),
        (min(values) - pad, max(values) + pad),
        height=320,
        width=460,
    )
    ticks, costs = round_ticks(*plot.y), [tick for tick in round_ticks(0, top) if tick <= top]
    plot.axes("CPU minutes a night", "AUC of what served", costs, ticks, lambda v: f"{v:g}", _places(ticks))
    frontier = [policy for _, policy in shown if policy["name"] in results["advice"]["frontier"]]
    frontier.sort(key=lambda policy: float(policy["cpu_minutes"]))
    plot.line([(p["cpu_minutes"], p["auc"]["value"]) for p in frontier], "guess")
    for n, policy in shown:
        at, auc = policy["cpu_minutes"], policy["auc"]
        if auc["low"] is not None:
            plot.spread(at, auc["low"], auc["high"], style(n))
        plot.dots([(at, auc["value"])], style(n), [f"{policy['name']}: {_reach(auc, fixed)}"])
    return plot.svg()


def by_night(results: Json, title: str, read: Callable[[Json], Json | None], show: Any) -> Markup | None:
    """A line for each policy over the nights; `read` gives a night's estimate, or None."""
    dates = [night["date"] for night in results["nights"]]
    lines = []
    for n, policy in enumerate(results["policies"][:SERIES]):
        points = [(night["night"], found) for night in policy["nights"] if (found := read(night)) is not None]
        if points:
            lines.append((n, policy["name"], points))
    if not lines:
        return None
    values = [bound for *_, points in lines for _, found in points for bound in _bounds(found)]
    pad = 0.06 * (max(values) - min(values)) or 0.01
    last = max(1, len(dates) - 1)
    low, high = min(values) - pad, max(values) + pad
    plot = Plot(
        title,
        f"By night, for {', '.join(name for _, name, _ in lines)}.",
        (-0.5, last + 0.5),
        (low, high),
        _WIDE,
        _HIGH,
    )
    ticks = round_ticks(low, high)
    step = -(-len(dates) // _LABELS)
    plot.axes(
        "Night before the day", title, range(0, len(dates), step), ticks, lambda k: dates[int(k)][5:], _places(ticks)
    )
    for place, (n, name, points) in enumerate(lines):
        aside = 0.12 * (place - (len(lines) - 1) / 2)  # so that intervals do not cover each other
        plot.line([(night + aside, found["value"]) for night, found in points], style(n))
        for night, found in points:
            if found.get("low") is not None:
                plot.spread(night + aside, found["low"], found["high"], style(n))
        titles = [f"{name}, {dates[night]}: {_reach(found, show)}" for night, found in points]
        plot.dots([(night + aside, found["value"]) for night, found in points], style(n), titles)
    return plot.svg()


def ageing(results: Json) -> Markup | None:
    """The mean difference at each age, and the line that was fitted to all of them."""
    found = results["ageing"]
    if not found["by_age"]:
        return None
    ages = [line["age"] for line in found["by_age"]]
    values = [0.0, *(bound for line in found["by_age"] for bound in (line["low"], line["high"]))]
    pad = 0.06 * (max(values) - min(values))
    plot = Plot(
        "Ageing",
        "AUC of an older model minus that of the one trained the night before, by age in days.",
        (0, max(ages) * 1.04),
        (min(values) - pad, max(values) + pad),
        width=460,
    )
    ticks = round_ticks(*plot.y)
    plot.axes(
        "Age in days", "AUC against a fresh model", round_ticks(0, max(ages)), ticks, lambda v: f"{v:g}", _places(ticks)
    )
    if found["loss_a_day"] is not None:
        plot.line([(0, 0), (max(ages), -found["loss_a_day"]["value"] * max(ages))], "guess")
    for line in found["by_age"]:
        plot.spread(line["age"], line["low"], line["high"], "candidate")
    titles = [f"{line['age']} days, {line['days']} comparisons: {_reach(line, signed)}" for line in found["by_age"]]
    plot.dots([(line["age"], line["value"]) for line in found["by_age"]], "candidate", titles)
    return plot.svg()


def _bounds(estimate: Json) -> list[float]:
    return [estimate[name] for name in ("value", "low", "high") if estimate.get(name) is not None]


def _places(ticks: Sequence[float]) -> Callable[[float], str]:
    places = max([2, *(len(f"{tick:.6f}".rstrip("0").partition(".")[2]) for tick in ticks)])
    return lambda value: f"{value:.{places}f}".replace("-", "−")


def _reach(estimate: Json, show: Any) -> str:
    text = str(show(estimate["value"]))
    if estimate.get("low") is None:
        return text
    return f"{text}, interval {show(estimate['low'])} to {show(estimate['high'])}"


def _tone(difference: Json) -> str:
    if difference["low"] is None:
        return "even"
    return "better" if difference["low"] > 0 else "worse" if difference["high"] < 0 else "even"
