"""Renders the page: what stands in which section is decided here, how it looks in the templates."""

from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from components.report import charts
from components.report.evidence import Evidence, content_view, data_view, origin_view, training_view
from components.report.headline import headline
from components.report.words import SHOWN, SHOWN_WITH_DIGITS, fixed, signed

Json = dict[str, Any]

# path in a scorecard, name, form, digits, what it means
FIGURES = (
    ("auc.value", "AUC", "fixed", 4, "share of pairs of a clicked and another row that are ranked right"),
    ("grouped_auc.value", "AUC within users", "fixed", 4, "the same, for rows of one user: what a user notices"),
    ("log_loss", "Log loss", "fixed", 4, "penalty for confident mistakes; smaller is better"),
    ("log_loss_gain", "Gain over guessing", "percent", 1, "log loss saved against predicting the mean rate always"),
    (
        "calibration_error",
        "Calibration error",
        "fixed",
        4,
        "distance of predicted from seen click rate; smaller is better",
    ),
    ("operating_point.precision", "Precision at the top", "percent", 1, "share clicked of the best scored rows"),
    ("operating_point.recall", "Clicks found at the top", "percent", 1, "share of all clicks in the best scored rows"),
    ("mean_score", "Mean predicted rate", "percent", 2, "to be held against the seen click rate"),
)
NOTES = {
    "baselines.history_blind": "trees on the item's levels and past click rate; it knows nothing of the user.",
    "baselines.item_click_rate": "how often the item was clicked in train, and nothing else.",
    "oracle": "the rule that this made-up data was drawn from; no model can do better, but for luck.",
}


def render(metrics: Json, verdict: Json, evidence: Evidence) -> str:
    environment = Environment(
        loader=PackageLoader("components.report", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
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
        headline=headline(metrics, verdict),
        models=models_view(metrics),
        figures=figures_view(metrics),
        charts={
            "roc": charts.roc(metrics["roc"], metrics["candidate"]["operating_point"]),
            "calibration": charts.calibration(
                metrics["candidate"]["reliability"], champion["reliability"] if champion else None
            ),
        },
        roc_names=[(name, text) for name, text in charts.NAMES.items() if name in metrics["roc"]],
        forest=forest_view(metrics, verdict["policy"]),
        training=training_view(evidence),
        data=data_view(evidence),
        content=content_view(evidence),
        origin=origin_view(evidence),
    )


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
    scale = charts.track([e for *_, e in estimates], [], 0.01)
    ours = metrics["candidate"]["auc"]["value"]
    return {
        "scale": scale.scale(lambda tick: f"{tick:.3g}"),
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


def figures_view(metrics: Json) -> list[Json]:
    names = ("path", "name", "form", "digits", "hint")
    return [dict(zip(names, row, strict=True)) for row in FIGURES if lookup(metrics, f"candidate.{row[0]}") is not None]


def forest_view(metrics: Json, policy: Json) -> Json:
    """One line a slice: its difference to the champion, or its AUC where there is none."""
    scored = metrics["champion"]["status"] == "scored"
    kind = "difference" if scored else "candidate"
    measured = [part[kind] for part in metrics["slices"] if part[kind] is not None]
    overall = metrics["comparison"]["users"]["value"] if scored else metrics["candidate"]["auc"]["value"]
    always = [0.0, -policy["slice_epsilon"], overall] if scored else [overall]
    scale = charts.track(measured, always, 0.05)
    marks = [(0.0, "zero"), (-policy["slice_epsilon"], "limit")] if scored else [(overall, "zero")]
    numbered = list(enumerate(metrics["slices"]))
    groups = []
    for name, parts in groupby(numbered, key=lambda pair: pair[1]["group"]):
        lines = [
            {
                "name": part["name"],
                "path": f"slices.{index}",
                "measured": part["measured"],
                "picture": _forest_picture(part, kind, scale, marks) if part["measured"] else None,
            }
            for index, part in parts
        ]
        groups.append({"name": name, "lines": lines})
    return {"groups": groups, "scale": scale.scale(lambda t: signed(t, 2) if scored else f"{t:.2f}")}


def _forest_picture(part: Json, kind: str, scale: charts.Track, marks: list[tuple[float, str]]) -> Markup:
    estimate, style = part[kind], "candidate"
    if kind == "difference" and estimate["low"] is not None:
        style = "better" if estimate["low"] > 0 else "worse" if estimate["high"] < 0 else "even"
    text = f"{part['group']}, {part['name']}: {_spread(estimate, signed if kind == 'difference' else fixed)}"
    return scale.interval(estimate, style, marks, text)


def _spread(estimate: Json, show: Any) -> str:
    text = show(estimate["value"])
    return text if estimate["low"] is None else f"{text}, interval {show(estimate['low'])} to {show(estimate['high'])}"
