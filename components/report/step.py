"""Collects what the steps before left in their folders, and writes the page."""

import base64
import io
from datetime import date
from pathlib import Path
from typing import Any

from PIL import Image

from components.artifacts import Artifacts
from components.report.evidence import Evidence
from components.report.page import render
from components.storage.files import atomic_path, read_json


def write_report(
    made: Artifacts, metrics: dict[str, Any], verdict: dict[str, Any], pipeline_run: str, today: date, out: Path
) -> None:
    sheet = made.embeddings / "contact_sheet.png"
    evidence = Evidence(
        validation=read_json(made.validation / "verdict.json"),
        manifest=read_json(made.embeddings / "manifest.json"),
        curves=read_json(made.training / "curves.json"),
        summary=read_json(made.training / "summary.json"),
        lineage=read_json(made.lineage / "lineage.json"),
        pipeline_run=pipeline_run,
        date=f"{today:%-d %B %Y}",
        contact_sheet=data_uri(sheet) if sheet.is_file() else None,
    )
    page = render(metrics, verdict, evidence)
    with atomic_path(out) as scratch:
        scratch.write_text(page, encoding="utf-8")


def data_uri(picture: Path) -> str:
    """As JPEG: a sheet of photographs is ten times larger as PNG, and the page should be small enough for an e-mail."""
    jpeg = io.BytesIO()
    with Image.open(picture) as image:
        image.convert("RGB").save(jpeg, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode("ascii")
