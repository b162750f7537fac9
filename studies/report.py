"""Writes what a study found: one HTML file for people, one Markdown table for documents."""

from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from components.report.page import number
from components.report.words import SHOWN, count
from components.storage.files import atomic_path
from studies import grid_views, study_charts
from studies.attention_view import attention_view
from studies.statement import findings, limits
from studies.table import markdown_table

Json = dict[str, Any]
SHOWN_FINDINGS = 3  # sentences; a reader unfolds the others


def write_report(results: Json, examples: list[Json], out: Path) -> None:
    """`results` as in results.json; `examples` hold titles and covers, so they are in the page alone."""
    for name, text in (
        ("report.html", render(results, examples)),
        ("table.md", "\n".join(markdown_table(results)) + "\n"),
    ):
        with atomic_path(out / name) as scratch:
            scratch.write_text(text, encoding="utf-8")


def render(results: Json, examples: list[Json]) -> str:
    folders = [PackageLoader(package, "templates") for package in ("studies", "components.report")]
    environment = Environment(
        loader=ChoiceLoader(folders), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(SHOWN)
    style = "".join(environment.get_template(name).render() for name in ("style.css", "study.css"))
    views = results["views"]
    return environment.get_template("study.html.j2").render(
        r=results,
        style=Markup(style),  # our own files
        number=lambda path, form="fixed", digits=None: number(results, path, form, digits),
        found=findings(results),
        shown=SHOWN_FINDINGS,
        cautions=limits(results),
        best=best_arm(results),
        areas=study_charts.areas(results),
        differences=study_charts.differences(results),
        papers=study_charts.papers(results) if "paper" in views else None,
        factors=grid_views.factor_views(results),
        history=grid_views.slices_view(results, "history") if "history" in views else None,
        items=grid_views.slices_view(results, "items") if "items" in views else None,
        codes=[(n, arm) for n, arm in enumerate(results["arms"]) if arm["codes"]],
        attention=attention_view(results, examples) if "attention" in views else None,
        origin=origin_view(results),
    )


def best_arm(results: Json) -> tuple[int, Json] | None:
    """The highest mean, which is not yet a claim that it is better."""
    return max(study_charts.measured(results), key=lambda found: float(found[1]["auc"]["mean"]), default=None)


def origin_view(results: Json) -> list[tuple[str, str, bool]]:
    """(name, text, whether it is code) of what makes the same study again."""
    data = results["data"]
    rows = data["rows"]
    used = count(rows["used"]) if rows["used"] == rows["train"] else f"{count(rows['used'])} of {count(rows['train'])}"
    lines = [
        ("Data", f"{data['name']}, {count(data['items'])} items", False),
        ("Came from", str(data["source"]), False),
        ("Train rows", str(data["sha256"]), True),
        ("Learned from", f"{used} train rows", False),
        ("Measured on", f"{count(rows[data['split']])} {data['split']} rows", False),
        ("Split", str(data.get("split_note") or ""), False),
        ("Seeds", ", ".join(str(seed) for seed in results["seeds"]), False),
        ("Preset", str(results["preset"]), True),
        ("Overrides", " ".join(str(setting) for setting in results["overrides"]), True),
        ("Date", str(results["date"]), False),
        ("Code commit", str(results["commit"]), True),
        ("Machine", machine_text(results["machine"]), False),
    ]
    return [line for line in lines if line[1] not in ("", "None")]


def machine_text(machine: Json) -> str:
    units = {"gpu": "", "cpu": "", "cores": " cores", "memory_gb": " GB"}
    parts = [f"{machine[key]}{unit}" for key, unit in units.items() if machine.get(key)]
    return ", ".join(parts + [f"{name} {machine[name]}" for name in ("torch", "python") if machine.get(name)])
