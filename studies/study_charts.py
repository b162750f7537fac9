"""The pictures of a study's report, from results.json."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from markupsafe import Markup

from components.report.charts import Track, track
from components.report.plot import Plot, round_ticks
from components.report.words import count, duration, fixed, p_value, signed
from studies.table import first_comparisons

Json = dict[str, Any]
SERIES = 6  # lines that can be told apart in one picture
TONES = {"better": "better", "worse": "worse", "inconclusive": "even"}


def measured(results: Json) -> list[tuple[int, Json]]:
    """(index, arm) of the arms that have a result."""
    return [(n, arm) for n, arm in enumerate(results["arms"]) if arm["auc"] and arm["auc"]["mean"] is not None]


def estimate(auc: Json) -> Json:
    return {"value": auc["mean"], "low": auc["low"], "high": auc["high"]}


def areas(results: Json) -> Json:
    """Every arm's AUC on one scale: a dot a seed, the mean and its interval, the reference's mean as a line."""
    lines = measured(results)
    if not lines:
        return {"lines": [], "scale": "", "cut": False}
    estimates = [estimate(arm["auc"]) for _, arm in lines]
    values = [e["value"] for e in estimates]
    scale = track(estimates, [], reach=max(max(values) - min(values), 0.005))
    own = first_comparisons(results)
    mark = next((arm["auc"]["mean"] for _, arm in lines if arm["name"] == results["reference"]), None)
    drawn = {n: _area(arm, scale, tone_of(arm, own, results), mark) for n, arm in lines}
    notes = [arm["note"] for arm in results["arms"]]
    return {
        "scale": scale.scale(lambda tick: f"{tick:.{_places(scale.ticks)}f}"),
        "cut": any(e["low"] is not None and (e["low"] < scale.low or e["high"] > scale.high) for e in estimates),
        "lines": [
            {
                "arm": arm,
                "index": n,
                "picture": drawn.get(n),
                "reference": arm["name"] == results["reference"],
                "note": arm["note"] if arm["note"] not in notes[:n] else "",  # once is enough
            }
            for n, arm in enumerate(results["arms"])
        ],
    }


def tone_of(arm: Json, own: dict[str, Json], results: Json) -> str:
    if arm["name"] == results["reference"]:
        return "candidate"
    return TONES[own[arm["name"]]["verdict"]] if arm["name"] in own else "even"


def _area(arm: Json, scale: Track, tone: str, mark: float | None) -> Markup:
    auc = arm["auc"]
    seeds = [value for value in auc["by_seed"] if value is not None]
    text = f"{arm['name']}: {_spread(estimate(auc), fixed)}; by seed {', '.join(fixed(value) for value in seeds)}"
    points = [(value, tone) for value in seeds] if len(seeds) > 1 else []
    return scale.interval(estimate(auc), tone, [] if mark is None else [(mark, "ours")], text, points)


def differences(results: Json) -> Json:
    """Every comparison on one scale, by the arm that it is against."""
    comparisons = [(n, c) for n, c in enumerate(results["comparisons"])]
    if not comparisons:
        return {"groups": [], "scale": ""}
    estimates = [{"value": c["difference"], "low": c["low"], "high": c["high"]} for _, c in comparisons]
    span = max(abs(e["value"]) for e in estimates)
    scale = track(estimates, [0.0], reach=max(span, 0.002) / 2)
    names = [arm["name"] for arm in results["arms"]]
    ordered = sorted(
        comparisons, key=lambda nc: (nc[1]["against"] != results["reference"], names.index(nc[1]["against"]))
    )
    groups = [
        {"against": against, "lines": [_difference(n, c, scale) for n, c in part]}
        for against, part in groupby(ordered, key=lambda nc: str(nc[1]["against"]))
    ]
    return {"groups": groups, "scale": scale.scale(tick_of_difference)}


def _difference(index: int, found: Json, scale: Track) -> Json:
    e = {"value": found["difference"], "low": found["low"], "high": found["high"]}
    text = f"{found['arm']} minus {found['against']}: {_spread(e, signed)}, Holm p {p_value(found['p_holm'])}"
    picture = scale.interval(e, TONES[found["verdict"]], [(0.0, "zero")], text)
    return {"index": index, "found": found, "picture": picture, "tone": found["verdict"]}


def papers(results: Json) -> Json | None:
    """Differences to the reference in the paper and here. The AUCs are of different data: numbers only."""
    lines = [(n, arm) for n, arm in measured(results) if arm["paper"] is not None]
    base = next((arm for _, arm in lines if arm["name"] == results["reference"]), lines[0][1] if lines else None)
    if base is None or len(lines) < 2:
        return None
    own = {c["arm"]: c for c in results["comparisons"] if c["against"] == base["name"]}
    steps = []
    for n, arm in lines:
        found = own.get(arm["name"], {"low": None, "high": None})
        here = {"value": arm["auc"]["mean"] - base["auc"]["mean"], "low": found["low"], "high": found["high"]}
        steps.append((n, arm, here, arm["paper"] - base["paper"]))
    scale = track([here for _, _, here, _ in steps], [there for *_, there in steps] + [0.0], reach=0.01)
    return {
        "base": base["name"],
        "scale": scale.scale(tick_of_difference),
        "lines": [
            {
                "index": n,
                "arm": arm,
                "picture": scale.interval(
                    here,
                    "candidate",
                    [(0.0, "zero")],
                    f"{arm['name']}: here {_spread(here, signed)}, in the paper {signed(there)}",
                    [(there, "paper")],
                ),
            }
            for n, arm, here, there in steps
        ],
    }


def curves(
    title: str, x_label: str, names: Sequence[str], lines: Sequence[tuple[str, str, list[Json | None]]], y_label: str
) -> Markup:
    """Lines over named places; `lines` holds (name, style, estimate or None at each place)."""
    known = [e for *_, line in lines for e in line if e is not None]
    low = min(e["value"] if e["low"] is None else e["low"] for e in known)
    high = max(e["value"] if e["high"] is None else e["high"] for e in known)
    pad = (high - low) * 0.08 or abs(high) * 0.02 or 0.1
    last = max(len(names) - 1, 1)
    plot = Plot(
        title,
        f"{y_label} of {', '.join(name for name, *_ in lines)} over {x_label.lower()}.",
        (-0.25, last + 0.25),
        (low - pad, high + pad),
        height=300,
    )
    ticks = round_ticks(low - pad, high + pad)
    plot.axes(x_label, y_label, range(len(names)), ticks, lambda k: names[int(k)], lambda v: f"{v:.{_places(ticks)}f}")
    for shift, (name, style, line) in enumerate(lines):
        aside = 0.05 * (shift - (len(lines) - 1) / 2)  # so that intervals do not cover each other
        points = [(k + aside, e) for k, e in enumerate(line) if e is not None]
        plot.line([(x, e["value"]) for x, e in points], style)
        for x, e in points:
            if e["low"] is not None:
                plot.spread(x, e["low"], e["high"], style)
        plot.dots(
            [(x, e["value"]) for x, e in points],
            style,
            [f"{name}: {_spread(e, lambda v: f'{v:,.{_places(ticks) + 1}f}')}" for _, e in points],
        )
    return plot.svg()


def times(names: Sequence[str], x_label: str, arms: Sequence[Json]) -> Markup:
    """Seconds of training at each place, from zero: a cost is read as a ratio."""
    top = max(arm["seconds"] for arm in arms) * 1.08
    plot = Plot(
        "Training time",
        f"Over {x_label.lower()}: {', '.join(duration(arm['seconds']) for arm in arms)}.",
        (-0.25, max(len(names) - 1, 1) + 0.25),
        (0.0, top),
        height=300,
    )
    ticks = round_ticks(0.0, top)
    plot.axes(x_label, "seconds", range(len(names)), ticks, lambda k: names[int(k)], count)
    points = [(float(k), arm["seconds"]) for k, arm in enumerate(arms)]
    plot.line(points, "candidate")
    plot.dots(points, "candidate", [duration(arm["seconds"]) for arm in arms])
    return plot.svg()


def tick_of_difference(value: float) -> str:
    return f"{value:+g}".replace("-", "−") if value else "0"


def _places(ticks: Sequence[float]) -> int:
    return max(2, *(len(f"{tick:.6f}".rstrip("0").partition(".")[2]) for tick in ticks)) if ticks else 2


def _spread(found: Json, show: Any) -> str:
    text = str(show(found["value"]))
    return text if found["low"] is None else f"{text}, interval {show(found['low'])} to {show(found['high'])}"
