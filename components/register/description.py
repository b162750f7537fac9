"""What MLflow's page says of a version: enough for a reviewer to decide from, or to know where to read on.

The first line stands alone in `mmctr review list`. The rest is Markdown, which MLflow renders. Names out of the data
are escaped, because nobody has vouched for them.
"""

import re
from collections.abc import Mapping
from typing import Any

from components.dataset.lineage import Lineage
from components.report.words import fixed, signed
from components.tracking.runs import REPORT, TrackedRun

_LONGEST = 4900  # characters; MLflow's column has 5000
_FIGURES = (
    ("auc", "AUC (95% interval)"),
    ("grouped_auc", "AUC within users (95% interval)"),
    ("log_loss", "Log loss"),
    ("calibration_error", "Calibration error"),
)
Json = Mapping[str, Any]


def describe(metrics: Json, verdict: Json, lineage: Lineage, run: TrackedRun, pipeline_run: str, chain: int = 0) -> str:
    """`chain`: how many trainings in a row started from a champion, the candidate's included."""
    parts = [
        f"AUC {_interval(metrics['candidate']['auc'])}, {_against(metrics, verdict)}",
        f"**Passed the gate.** {_escaped(verdict['summary'])}",
        _table(metrics),
        f"{_links(run)} To decide: `mmctr review show --run {pipeline_run}`, then `approve` or `reject`.",
        f"Data: {_escaped(_data(lineage))}",
        _start(metrics, chain),
        "\n".join(f"- {_escaped(rule['title'])}: {_escaped(rule['sentence'])}" for rule in verdict["rules"]),
    ]
    return "\n\n".join(part for part in parts if part)[:_LONGEST]


def _start(metrics: Json, chain: int) -> str:
    if not chain:
        return ""
    version = metrics["champion"]["version"]
    return f"Its training started from champion version {version}; starts from a champion in a row: {chain}."


def _against(metrics: Json, verdict: Json) -> str:
    champion = metrics["champion"]
    if champion["status"] == "none":
        return "the first model"
    if champion["status"] == "unreadable":
        return f"not compared: champion version {champion['version']} could not score this data"
    difference = metrics["comparison"][verdict["policy"]["unit"]]
    interval = f"{signed(difference['low'])} to {signed(difference['high'])}"
    return f"{signed(difference['value'])} ({interval}) against champion version {champion['version']}"


def _table(metrics: Json) -> str:
    champion = metrics["champion"]
    heads = ["", "candidate", *([f"champion {champion['version']}"] if champion["scores"] else [])]
    scores = [metrics["candidate"], *([champion["scores"]] if champion["scores"] else [])]
    rows = [heads, ["---"] * len(heads)]
    for field, title in _FIGURES:
        rows.append([title, *(f"\u00a0{_figure(of.get(field))}\u00a0" for of in scores)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _figure(value: Any) -> str:
    return _interval(value) if isinstance(value, Mapping) else fixed(value)


def _interval(estimate: Json) -> str:
    if estimate["value"] is None or estimate["low"] is None:
        return fixed(estimate["value"])
    return f"{fixed(estimate['value'])} ({fixed(estimate['low'])} to {fixed(estimate['high'])})"


def _links(run: TrackedRun) -> str:
    report = run.address_of(REPORT)
    named = [("Report", report), ("Run", run.url())]
    links = [f"[{name}]({to})" if to.startswith("http") else f"{name}: `{to}`" for name, to in named if to]
    return f"{' · '.join(links)}."


def _data(lineage: Lineage) -> str:
    if not lineage.repository:
        return f"a folder with md5 {lineage.data_md5}"
    return f"revision {lineage.revision} ({(lineage.data_commit or 'no commit')[:12]}) of {lineage.repository}"


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))
