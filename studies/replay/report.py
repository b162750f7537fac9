"""The page of a replay: one HTML file that asks nobody for anything."""

from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from components.report.page import number
from components.report.words import SHOWN, count, fixed, signed
from components.storage.files import atomic_path
from studies.replay import charts
from studies.replay.statement import aged, cautions, gate_sentence, truth_lines
from studies.report import machine_text

Json = dict[str, Any]


def write_report(results: Json, out: Path) -> None:
    with atomic_path(out) as scratch:
        scratch.write_text(render(results), encoding="utf-8")


def render(results: Json) -> str:
    folders = [PackageLoader(package, "templates") for package in ("studies.replay", "studies", "components.report")]
    environment = Environment(
        loader=ChoiceLoader(folders), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(SHOWN)
    style = "".join(environment.get_template(name).render() for name in ("style.css", "study.css", "replay.css"))
    names = [policy["name"] for policy in results["policies"]]
    return environment.get_template(
        "replay.html.j2"
    ).render(
        r=results,
        style=Markup(style),  # our own files
        number=lambda path, form="fixed", digits=None: number(results, path, form, digits),
        use=_named(results, results["advice"]["use"]),
        pictures={
            "policies": charts.policies(results),
            "frontier": charts.cost_and_quality(results),
            "auc": charts.by_night(results, "AUC of what served", lambda night: night["auc"], fixed),
            "gain": charts.by_night(
                results, f"AUC against {results['reference']}", lambda night: night["gain"], signed
            ),
            "calibration": charts.by_night(results, "Calibration error", _calibration, fixed),
            "ageing": charts.ageing(results),
        },
        legend=[(charts.style(n), name) for n, name in enumerate(names[: charts.SERIES])],
        aged=aged(results),
        gate=gate_sentence(results),
        truth=truth_lines(results),
        cautions=cautions(results),
        origin=_origin(results),
    )


def _calibration(night: Json) -> Json | None:
    return {"value": night["calibration_error"]} if night.get("calibration_error") is not None else None


def _named(results: Json, name: str | None) -> tuple[int, Json] | None:
    return next(((n, policy) for n, policy in enumerate(results["policies"]) if policy["name"] == name), None)


def _origin(results: Json) -> list[tuple[str, str, bool]]:
    """(name, text, whether it is code) of what makes the same replay again."""
    data, plan = results["data"], results["plan"]
    window = f"the newest {plan['window']} days" if plan["window"] else "all that was known"
    lines = [
        (
            "Data",
            f"{data['name']}, {count(data['rows'])} rows, {count(data['users'])} users, {count(data['items'])} items",
            False,
        ),
        ("Came from", str(data["source"]), False),
        ("Days", f"{data['first_day']} to {data['last_day']}", False),
        ("Train rows", str(data["sha256"]), True),
        ("Nights", f"{plan['nights']}, every {plan['every']} days; each trains on {window}", False),
        ("Seed", str(results["seed"]), False),
        ("Preset", str(results["preset"]), True),
        ("Overrides", " ".join(results["overrides"]), True),
        ("Date", str(results["date"]), False),
        ("Code commit", str(results["commit"]), True),
        ("Machine", machine_text(results["machine"]), False),
    ]
    return [line for line in lines if line[1] not in ("", "None")]
