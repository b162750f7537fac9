"""Arms as grids: by the factors that they vary, and by slices of the rows."""

from collections.abc import Sequence
from typing import Any

from studies import study_charts
from studies.table import first_comparisons

Json = dict[str, Any]
STRONGEST = 45  # per cent of the colour in the fullest cell: text on it stays legible in both palettes


def factor_views(results: Json) -> list[Json]:
    """One picture for each set of factors that arms have: a line for one factor, heat maps for more."""
    sets: dict[tuple[str, ...], list[tuple[int, Json]]] = {}
    for n, arm in enumerate(results["arms"]):
        if arm["factors"]:
            sets.setdefault(tuple(arm["factors"]), []).append((n, arm))
    views = []
    for factors, members in sets.items():
        shown = [(n, arm) for n, arm in members if arm["auc"] and arm["auc"]["mean"] is not None]
        if len(shown) > 1:
            views.append(_curve(factors[0], shown) if len(factors) == 1 else _heat(results, factors, members, shown))
    return views


def _curve(factor: str, arms: list[tuple[int, Json]]) -> Json:
    names = [arm["factors"][factor] for _, arm in arms]
    line = [study_charts.estimate(arm["auc"]) for _, arm in arms]
    return {
        "kind": "curve",
        "title": f"By {factor}",
        "auc": study_charts.curves("AUC", factor, names, [("mean AUC", "candidate", list(line))], "AUC"),
        "time": study_charts.times(names, factor, [arm for _, arm in arms]),
    }


def _heat(
    results: Json, factors: tuple[str, ...], members: list[tuple[int, Json]], shown: list[tuple[int, Json]]
) -> Json:
    *outer, row_axis, column_axis = factors
    values = [arm["auc"]["mean"] for _, arm in shown]
    own = first_comparisons(results)
    panels: dict[str, list[tuple[int, Json]]] = {}
    for n, arm in members:
        panels.setdefault(", ".join(arm["factors"][axis] for axis in outer), []).append((n, arm))

    def cell(n: int, arm: Json) -> Json:
        if not arm["auc"] or arm["auc"]["mean"] is None:
            return {"index": None}
        heat = _share(arm["auc"]["mean"], min(values), max(values))
        tone = study_charts.tone_of(arm, own, results)
        return {"index": n, "heat": round(STRONGEST * heat), "tone": tone, "sd": arm["auc"]["sd"]}

    return {
        "kind": "heat",
        "title": f"By {', '.join(factors[:-1])} and {factors[-1]}",
        "row_axis": row_axis,
        "column_axis": column_axis,
        "panels": [{"title": title, **_panel(part, row_axis, column_axis, cell)} for title, part in panels.items()],
    }


def _panel(part: list[tuple[int, Json]], row_axis: str, column_axis: str, cell: Any) -> Json:
    """An arm whose two factors are one and the same word stands outside the grid, as wide as it."""
    placed = {(arm["factors"][row_axis], arm["factors"][column_axis]): (n, arm) for n, arm in part}
    inside = [place for place in placed if place[0] != place[1]]
    rows, columns = (list(dict.fromkeys(place[side] for place in inside)) for side in (0, 1))
    return {
        "columns": columns,
        "rows": [
            {"name": row, "cells": [cell(*placed[row, c]) if (row, c) in placed else {"index": None} for c in columns]}
            for row in rows
        ],
        "strips": [{"name": place[0], "cell": cell(*placed[place])} for place in placed if place[0] == place[1]],
    }


def slices_view(results: Json, kind: str) -> Json | None:
    """AUC of every arm on every slice, coloured by its distance from the reference's on the same rows."""
    arms = [(n, arm) for n, arm in study_charts.measured(results) if (arm["slices"] or {}).get(kind)]
    if not arms:
        return None
    by_arm = {n: {part["name"]: (k, part) for k, part in enumerate(arm["slices"][kind])} for n, arm in arms}
    names = list(dict.fromkeys(part["name"] for _, arm in arms for part in arm["slices"][kind]))
    heads = [
        next(f"arms.{n}.slices.{kind}.{by_arm[n][name][0]}.rows" for n in by_arm if name in by_arm[n]) for name in names
    ]
    base = next((n for n, arm in arms if arm["name"] == results["reference"]), None)
    gaps = _gaps(by_arm, base)
    widest = max((abs(gap) for gap in gaps.values()), default=0.0)

    def cell(n: int, name: str) -> Json:
        k, part = by_arm[n].get(name, (0, {"auc": None}))
        if part["auc"] is None:
            return {"path": None}
        gap = gaps.get((n, name), 0.0)
        heat = round(STRONGEST * abs(gap) / widest) if widest else 0
        return {"path": f"arms.{n}.slices.{kind}.{k}.auc", "heat": heat, "tone": "better" if gap > 0 else "worse"}

    usable = [name for name in names if any(cell(n, name)["path"] for n, _ in arms)]
    return {
        "columns": list(zip(names, heads, strict=True)),
        "lines": [
            {"name": arm["name"], "reference": n == base, "cells": [cell(n, name) for name in names]} for n, arm in arms
        ],
        "picture": _slice_curves(arms, by_arm, usable, kind)
        if len(arms) <= study_charts.SERIES and len(usable) > 1
        else None,
        "legend": [(f"s{place}", arm["name"]) for place, (_, arm) in enumerate(arms)],
        "reference": results["reference"] if base is not None else None,
    }


def _gaps(by_arm: dict[int, dict[str, tuple[int, Json]]], base: int | None) -> dict[tuple[int, str], float]:
    if base is None:
        return {}
    return {
        (n, name): part["auc"] - by_arm[base][name][1]["auc"]
        for n, parts in by_arm.items()
        for name, (_, part) in parts.items()
        if part["auc"] is not None and name in by_arm[base] and by_arm[base][name][1]["auc"] is not None
    }


def _slice_curves(
    arms: Sequence[tuple[int, Json]], by_arm: dict[int, dict[str, tuple[int, Json]]], names: list[str], kind: str
) -> Any:
    lines = [
        (arm["name"], f"s{place}", [_estimate(by_arm[n].get(name)) for name in names])
        for place, (n, arm) in enumerate(arms)
    ]
    axis = "Items in the history" if kind == "history" else "The target item in train"
    return study_charts.curves("AUC", axis, names, lines, "AUC")


def _estimate(found: tuple[int, Json] | None) -> Json | None:
    """The reach is one standard deviation over seeds."""
    if found is None or found[1]["auc"] is None:
        return None
    auc, sd = found[1]["auc"], found[1]["sd"]
    return {"value": auc, "low": None if sd is None else auc - sd, "high": None if sd is None else auc + sd}


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.0
