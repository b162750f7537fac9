"""Every colour of text stands out from what lies behind it, in both palettes (WCAG 2.2, level AA)."""

import re
from pathlib import Path

import pytest

import components.report

STYLE = (Path(components.report.__file__).parent / "templates" / "style.css").read_text()
SMALL_TEXT, GRAPHIC = 4.5, 3.0
PAIRS = [
    *((text, behind, SMALL_TEXT) for text in ("ink", "muted") for behind in ("page", "card")),
    *((tone, f"{tone}-wash", SMALL_TEXT) for tone in ("pass", "fail", "warn")),
    *((tone, "card", SMALL_TEXT) for tone in ("pass", "fail", "warn", "candidate")),
    *((line, "card", GRAPHIC) for line in ("champion", "baseline", "truth")),
]


def palette(scheme: str) -> dict[str, str]:
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", light if scheme == "light" else dark))


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("front", "behind", "least"), PAIRS)
def test_text_has_enough_contrast(scheme: str, front: str, behind: str, least: float) -> None:
    colours = palette(scheme)
    brighter, darker = sorted((luminance(colours[front]), luminance(colours[behind])), reverse=True)
    assert (brighter + 0.05) / (darker + 0.05) >= least


def test_both_palettes_name_the_same_colours() -> None:
    assert set(palette("light")) == set(palette("dark"))
    used = set(re.findall(r"var\(--([a-z-]+)\)", STYLE)) - {"tone", "wash"}
    assert used == set(palette("light"))
