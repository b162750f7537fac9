"""Attention in the report: figures by layer, and real rows with what each arm looks at in them."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from markupsafe import Markup

from components.report.words import percent

Json = dict[str, Any]
CELL, LEFT, TOP = 21, 46, 44  # pixels of a map: a cell, and the room for numbers and covers on its left and above it
STRONGEST = 0.5  # opacity of the fullest cell: the number in it stays legible in both palettes


def attention_view(results: Json, examples: Sequence[Json]) -> Json | None:
    arms = [(n, arm) for n, arm in enumerate(results["arms"]) if arm["attention"]]
    if not arms:
        return None
    rows = [
        list(part) for _, part in groupby(sorted(examples, key=lambda e: int(e["row"])), key=lambda e: int(e["row"]))
    ]
    return {
        "rows": f"arms.{arms[0][0]}.attention.rows",
        "eligible": f"arms.{arms[0][0]}.attention.eligible_rows",
        "arms": [
            {"name": arm["name"], "index": n, "layers": list(enumerate(arm["attention"]["layers"]))} for n, arm in arms
        ],
        "clean": all(not arm["attention"]["largest_on_padding"] for _, arm in arms),
        "covers": covers(examples),
        "examples": [example_view(part) for part in rows],
    }


def covers(examples: Sequence[Json]) -> list[tuple[int, str]]:
    """Each cover once: tables and maps point to it."""
    cards = [card for example in examples for card in [*example["items"], example["target"]]]
    return sorted({card["item"]: card["cover"] for card in cards if card["cover"]}.items())


def example_view(parts: list[Json]) -> Json:
    """One row as each arm sees it; arms of shorter histories see its newest items alone."""
    longest = max(parts, key=lambda part: len(part["items"]))
    items = longest["items"]
    numbers = range(len(items), 0, -1)  # 1 is the newest
    largest = max((card["weight"] for part in parts for card in part["items"]), default=0.0) or 1.0
    lines = [
        {"number": number, "card": card, "weights": [_weight(part, number, largest) for part in parts]}
        for number, card in zip(numbers, items, strict=True)
    ]
    return {
        "row": longest["row"],
        "label": longest["label"],
        "target": longest["target"],
        "length": longest["length"],
        "lines": lines[::-1],
        "arms": [
            {
                "name": part.get("arm", ""),
                "layer": part["layer"],
                "beyond": _beyond(part),
                "map": attention_map(part) if part["map"] else None,
                "largest": _largest(part),
            }
            for part in parts
        ],
    }


def _weight(part: Json, number: int, largest: float) -> Json | None:
    if number > len(part["items"]):
        return None
    card = part["items"][-number]
    return {
        "text": percent(card["weight"]),
        "width": round(100 * card["weight"] / largest, 1),
        "newest": percent(card["newest_query"]),
    }


def _beyond(part: Json) -> str:
    """What lies on older items than are shown, or on padding."""
    older = f"{percent(part['older'])} on {part['length'] - len(part['items'])} older items" if part["older"] else ""
    padding = f"{percent(part['padding'])} on padding" if part["padding"] > 1e-4 else ""
    return " and ".join(text for text in (older, padding) if text)


def _largest(part: Json) -> str:
    return percent(max((max(line) for line in part["map"]), default=0.0)) if part["map"] else ""


def attention_map(part: Json) -> Markup:
    """Queries downwards, keys across, the newest first in both; each cell the share of attention in per cent."""
    lines = [line[::-1] for line in part["map"][::-1]]
    cards = part["items"][::-1]
    size = len(lines)
    top = max((max(line) for line in lines), default=0.0) or 1.0
    width, height = LEFT + CELL * size, TOP + CELL * size
    head = Markup('<svg class="map" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">').format(
        width, height, width, height, f"Attention of each of the {size} newest items to each other, in per cent"
    )
    parts = [head]
    for k, card in enumerate(cards):
        at = CELL * k
        parts += [
            _number(k + 1, LEFT + at + CELL / 2, 12),
            _cover(card, LEFT + at + 1, 18),
            _number(k + 1, 11, TOP + at + 14),
            _cover(card, 22, TOP + at + 1),
        ]
    for row, line in enumerate(lines):
        parts += [_cell(row, column, share, top, cards) for column, share in enumerate(line)]
    return Markup("").join([*parts, Markup("</svg>")])


def _number(number: int, x: float, y: float) -> Markup:
    return Markup('<text class="middle" x="{}" y="{}">{}</text>').format(x, y, number)


def _cover(card: Json, x: float, y: float) -> Markup:
    side = CELL - 2
    if not card["cover"]:
        return Markup('<rect class="blank" x="{}" y="{}" width="{}" height="{}"/>').format(x, y, side, side)
    use = Markup('<use href="#cover-{}" x="{}" y="{}" width="{}" height="{}"/>')
    return use.format(card["item"], x, y, side, side)


def _cell(row: int, column: int, share: float, top: float, cards: list[Json]) -> Markup:
    x, y = LEFT + CELL * column, TOP + CELL * row
    title = f"{row + 1} {cards[row]['title']} looks at {column + 1} {cards[column]['title']}: {percent(share)}"
    text = f"{100 * share:.0f}"
    return Markup(
        '<g><title>{}</title><rect class="cell" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}"/>'
        '<text class="middle" x="{}" y="{}">{}</text></g>'
    ).format(
        title,
        x,
        y,
        CELL - 1,
        CELL - 1,
        round(STRONGEST * share / top, 3),
        x + CELL / 2 - 0.5,
        y + 14,
        text if text != "0" else "",
    )
