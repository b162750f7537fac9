"""Collects what the steps before left in their folders, and writes the page."""

import base64
from pathlib import Path
from typing import Any

from components.files import atomic_path, read_json
from components.report.evidence import Evidence
from components.report.page import render


def write_report(
    metrics: dict[str, Any],
    verdict: dict[str, Any],
    validation: Path,
    embeddings: Path,
    training: Path,
    dataset: Path,
    out: Path,
) -> None:
    sheet = embeddings / "contact_sheet.png"
    evidence = Evidence(
        validation=read_json(validation / "verdict.json"),
        manifest=read_json(embeddings / "manifest.json"),
        curves=read_json(training / "curves.json"),
        summary=read_json(training / "summary.json"),
        lineage=read_json(dataset / "lineage.json"),
        contact_sheet=data_uri(sheet.read_bytes()) if sheet.is_file() else None,
    )
    page = render(metrics, verdict, evidence)
    with atomic_path(out) as scratch:
        scratch.write_text(page, encoding="utf-8")


def data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
