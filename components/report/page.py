"""Renders the page. This module decides what each section contains, the templates how it looks."""

from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from components.report import charts
from components.report.evidence import Evidence, content_view, data_view, origin_view, training_view
from components.report.headline import heading, headline
from components.report.words import SHOWN, SHOWN_WITH_DIGITS, chance, fixed, percent, signed

Json = dict[str, Any]

# path in a scorecard, name, form, digits, what it means
FIGURES = (
    ("auc.value", "AUC", "fixed", 4, "share of pairs of a clicked and another row that are ranked right"),
    ("grouped_auc.value", "AUC within users", "fixed", 4, "the same, for rows of one user: what a user notices"),
    ("log_loss", "Log loss", "fixed", 4, "penalty for confident mistakes; smaller is better"),
    ("log_loss_gain", "Gain over guessing", "percent", 1, "log loss saved against predicting the mean rate always"),
    ("calibration_error", "Calibration error", "fixed", 4, "predicted against seen click rate; smaller is better"),
    ("operating_point.precision", "Precision at the top", "percent", 1, "share clicked of the best scored rows"),
    ("operating_point.recall", "Clicks found at the top", "percent", 1, "share of all clicks in the best scored rows"),
    ("mean_score", "Mean predicted rate", "percent", 2, "to be held against the seen click rate"),
)
NOTES = {
    "baselines.history_blind": "trees on the item's levels and click rate; knows no user",
    "baselines.item_click_rate": "how often the item was clicked in train, nothing else",
    "oracle": "the rule this made-up data was drawn from",
}


def render(metrics: Json, verdict: Json, evidence: Evidence) -> str:
    environment = Environment(
        loader=PackageLoader("components.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(SHOWN)
    scored = metrics["champion"]["status"] == "scored"
    champion = metrics["champion"]["scores"] if scored else None
    style = environment.get_template("style.css").render()
    return environment.get_template("page.html.j2").render(
        m=metrics,
        v=verdict,
        scored=scored,
        style=Markup(style),  # our own file
        number=lambda path, form="fixed", digits=None: number(metrics, path, form, digits),
        headline=headline(metrics, verdict, evidence.pipeline_run),
        heading=heading(metrics, verdict, evidence),
        models=models_view(metrics),
        chance=chance_view(metrics, verdict) if scored else None,
        figures=figures_view(metrics),
        charts={
            "roc": charts.roc(metrics["roc"], metrics["candidate"]["operating_point"]),
            "calibration": charts.calibration(
                metrics["candidate"]["reliability"], champion["reliability"] if champion else None
            ),
        },
        calibration=calibration_sentence(metrics["calibration"]) if metrics.get("calibration") else None,
        roc_names=[(name, text) for name, text in charts.NAMES.items() if name in metrics["roc"]],
        forest=forest_view(metrics, verdict),
        diagnosis=diagnosis_view(metrics["diagnosis"]["findings"]),
        training=training_view(evidence),
        data=data_view(evidence),
        content=content_view(evidence),
        origin=origin_view(evidence),
    )


CALIBRATED = {
    "none": "No correction predicted other users' rows of valid better than the candidate's own rates, so it has none.",
    "platt": "The candidate's rates were corrected by a line through its logits (Platt), fitted on valid.",
    "isotonic": "The candidate's rates were corrected by rising steps (isotonic regression), fitted on valid.",
}


def calibration_sentence(calibration: Json) -> str:
    kept = calibration["negatives_kept"]
    text = CALIBRATED[calibration["method"]]
    if kept < 1:
        text += (
            f" The data keep {percent(kept)} of the non-clicks (train.negatives_kept). Rates that leave the model are "
            "corrected for this; the rates on this page are not, because its rows keep the same share."
        )
    return text


def lookup(metrics: Json, path: str) -> Any:
    value: Any = metrics
    for key in path.split("."):
        value = value[int(key)] if isinstance(value, list) else value[key]
        if value is None:
            return None
    return value


def number(metrics: Json, path: str, form: str, digits: int | None) -> Markup:
    """A number of metrics.json as a person reads it, that also carries which one it is and its exact value."""
    value = lookup(metrics, path)
    text = SHOWN[form](value) if digits is None else SHOWN_WITH_DIGITS[form](value, digits)
    return Markup('<data data-metric="{}" value="{}">{}</data>').format(
        path, "" if value is None else repr(value), text
    )


def models_view(metrics: Json) -> Json:
    """Candidate, champion and baselines as dots on one scale, the best first."""
    lines = [("Candidate", "candidate", "candidate.auc")]
    if metrics["champion"]["status"] == "scored":
        lines.append(("Champion", "champion", "champion.scores.auc"))
    lines += [(charts.NAMES[name], "baseline", f"baselines.{name}.auc") for name in metrics["baselines"]]
    estimates = [(name, style, f"{path}.value", lookup(metrics, path)) for name, style, path in lines]
    if metrics["oracle"] is not None:
        exact = {"value": metrics["oracle"]["auc"], "low": None, "high": None}
        estimates.append(("Best possible", "truth", "oracle.auc", exact))
    scale = charts.track([e for *_, e in estimates], [], reach=1.0)
    ours = metrics["candidate"]["auc"]["value"]
    return {
        "scale": scale.scale(lambda tick: f"{tick:.2f}"),
        "lines": [
            {
                "name": name,
                "path": path,
                "note": next((note for start, note in NOTES.items() if path.startswith(start)), None),
                "picture": scale.interval(e, style, [(ours, "ours")], f"{name}: {_spread(e, fixed)}"),
            }
            for name, style, path, e in estimates
        ],
    }


def chance_view(metrics: Json, verdict: Json) -> Json:
    """The difference to the champion with each kind of interval, and the bounds that the gate tests."""
    policy, bounds = verdict["policy"], verdict["tested"]["comparison"]
    lines = [
        ("By users", "users", f"users redrawn at random {metrics['comparison']['users']['samples']} times"),
        ("By rows", "rows", "as if no two rows had a user in common (DeLong's test)"),
    ]
    if "grouped" in bounds:
        lines.append(("Within users", "grouped", "comparing rows of one user only: what a user notices"))
    if metrics["champion"]["unknown_rows"] and "known_items" in bounds:
        share = percent(metrics["comparison"]["known_share"], 0)
        lines.append(("Items it knows", "known_items", f"the {share} of rows whose item the champion knows"))
    estimates = [{"value": metrics["comparison"][kind]["value"], **bounds[kind]} for _, kind, _ in lines]
    limit = 0.0 if policy["comparison"] == "superior" else -policy["delta"]
    scale = charts.track(estimates, [0.0, limit], reach=1.0)
    marks = [(0.0, "zero"), (limit, "limit")]
    gain = metrics["comparison"][policy["unit"]]
    return {
        "sentence": _chance_sentence(gain["value"], gain["p_better"]),
        "tested": next(name for name, kind, _ in lines if kind == policy["unit"]),
        "scale": scale.scale(_tick_of_difference),
        "lines": [
            {
                "name": name,
                "path": f"comparison.{kind}",
                "bounds": bounds[kind],
                "hint": hint,
                "picture": scale.interval(e, _tone(e), marks, f"{name}: {_spread(e, signed)}"),
            }
            for (name, kind, hint), e in zip(lines, estimates, strict=True)
        ],
    }


def _chance_sentence(gain: float, p_better: float) -> str:
    if gain == 0:
        return "The two rank these rows equally well."
    kind, p = ("gain", p_better) if gain > 0 else ("loss", 1 - p_better)
    return f"If the two were equally good, chance alone would show a {kind} this large with probability {chance(p)}."


def figures_view(metrics: Json) -> list[Json]:
    names = ("path", "name", "form", "digits", "hint")
    return [dict(zip(names, row, strict=True)) for row in FIGURES if lookup(metrics, f"candidate.{row[0]}") is not None]


def forest_view(metrics: Json, verdict: Json) -> Json:
    """One line for each slice, and one for all rows: the difference to the champion, or the AUC if there is no
    champion.
    """
    scored = metrics["champion"]["status"] == "scored"
    policy, tested = verdict["policy"], verdict["tested"]
    overall = metrics["comparison"][policy["unit"]] if scored else metrics["candidate"]["auc"]
    paths = ("rows", "candidate.auc", "champion.scores.auc", f"comparison.{policy['unit']}")
    everything = {"name": "all", "group": "All rows", "measured": True, "paths": paths}
    bounds = [tested["comparison"][policy["unit"]] if scored else None, *tested["slices"]]
    slices = [everything, *({**part, "paths": _paths(n)} for n, part in enumerate(metrics["slices"]))]
    for part, tested_bounds in zip(slices, bounds, strict=True):
        estimate = lookup(metrics, part["paths"][3] if scored else part["paths"][1])
        part["estimate"] = {**estimate, **tested_bounds} if estimate and tested_bounds else estimate
    limit = -policy["slice_epsilon"]
    shown = [part["estimate"] for part in slices if part["estimate"]]
    scale = charts.track(shown, [0.0, limit] if scored else [overall["value"]], reach=0.1)
    marks = [(0.0, "zero"), (limit, "limit")] if scored else [(overall["value"], "zero")]
    groups = [
        {"name": name, "lines": [_forest_line(part, scored, scale, marks) for part in parts]}
        for name, parts in groupby(slices, key=lambda part: str(part["group"]))
    ]
    return {"groups": groups, "scale": scale.scale(_tick_of_difference if scored else lambda tick: f"{tick:.2f}")}


def diagnosis_view(findings: list[Json]) -> Json:
    """The findings that warn, which a person must see, and the others."""
    shown = [{**finding, "place": place, "kind": _kind(finding)} for place, finding in enumerate(findings)]
    warnings = [finding for finding in shown if finding["warns"]]
    return {"all": len(shown), "warnings": warnings, "others": [f for f in shown if not f["warns"]]}


def _kind(finding: Json) -> str:
    if finding["warns"]:
        return "warn"
    return "none" if finding["observed"] is None else "pass"


def _paths(index: int) -> tuple[str, ...]:
    return tuple(f"slices.{index}.{name}" for name in ("rows", "candidate", "champion", "difference"))


def _forest_line(part: Json, scored: bool, scale: charts.Track, marks: list[tuple[float, str]]) -> Json:
    if not part["measured"]:
        return {**part, "picture": None}
    estimate = part["estimate"]
    text = f"{part['group']}, {part['name']}: {_spread(estimate, signed if scored else fixed)}"
    return {**part, "picture": scale.interval(estimate, _tone(estimate) if scored else "candidate", marks, text)}


def _tick_of_difference(value: float) -> str:
    return f"{value:+g}".replace("-", "−") if value else "0"


def _tone(difference: Json) -> str:
    """Better or worse, if the whole bar is on one side of zero."""
    if difference["low"] is None:
        return "even"
    return "better" if difference["low"] > 0 else "worse" if difference["high"] < 0 else "even"


def _spread(estimate: Json, show: Any) -> str:
    text = show(estimate["value"])
    return text if estimate["low"] is None else f"{text}, interval {show(estimate['low'])} to {show(estimate['high'])}"
