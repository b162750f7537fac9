"""Colours of the study's page stand out from what lies behind them, in both palettes (WCAG 2.2, level AA)."""

import re
from pathlib import Path

import pytest

import studies
from studies import attention_view, grid_views, study_charts
from tests.unit.report.test_style import GRAPHIC, SMALL_TEXT, luminance, palette

STYLE = (Path(studies.__file__).parent / "templates" / "study.css").read_text()
SCHEMES = ("light", "dark")


def series(scheme: str) -> list[str]:
    light, dark = re.findall(r":root \{ (--s0.*?) \}", STYLE)
    return re.findall(r"--s\d: (#[0-9a-f]{6})", light if scheme == "light" else dark)


def contrast(first: str, second: str) -> float:
    brighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def mixed(front: str, behind: str, share: float) -> str:
    channels = [share * int(front[i : i + 2], 16) + (1 - share) * int(behind[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(channel):02x}" for channel in channels)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_series_has_a_colour_of_its_own_that_is_seen(scheme: str) -> None:
    colours = series(scheme)
    assert len(set(colours)) == study_charts.SERIES
    assert all(contrast(colour, palette(scheme)["card"]) >= GRAPHIC for colour in colours)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("tone", ["candidate", "pass", "fail"])
def test_numbers_in_the_fullest_cell_are_legible(scheme: str, tone: str) -> None:
    colours = palette(scheme)
    for share in (grid_views.STRONGEST / 100, attention_view.STRONGEST if tone == "candidate" else 0.0):
        assert contrast(colours["ink"], mixed(colours[tone], colours["card"], share)) >= SMALL_TEXT


def test_colours_are_those_of_the_report_or_of_a_series() -> None:
    used = set(re.findall(r"var\(--([a-z]+\d?)", STYLE)) - {"tone", "heat", "width"}
    assert used <= set(palette("light")) | {f"s{n}" for n in range(study_charts.SERIES)}
