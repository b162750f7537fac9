"""Draws an item's cover: a shape on a texture, in a colour, each a little off so that no two covers are equal."""

import colorsys
import io
import math

import numpy as np
from PIL import Image, ImageDraw

SIZE = 96  # pixels a side
_SHARPER = 2  # drawn this much larger, then reduced: smooth edges


def draw_cover(colour: int, shape: int, texture: int, rng: np.random.Generator) -> bytes:
    side = SIZE * _SHARPER
    hue = (colour / 6 + rng.uniform(-0.025, 0.025)) % 1.0
    ground, shade = _rgb(hue, 0.55, rng.uniform(0.78, 0.9)), _rgb(hue, 0.75, rng.uniform(0.5, 0.62))
    image = Image.new("RGB", (side, side), ground)
    draw = ImageDraw.Draw(image)
    _texture(draw, texture, side, shade, rng)
    radius = side * rng.uniform(0.26, 0.36)
    x, y = side / 2 + rng.uniform(-0.1, 0.1, 2) * side
    _shape(draw, shape, (float(x), float(y)), float(radius), float(rng.uniform(-0.25, 0.25)), ground)
    data = io.BytesIO()
    image.resize((SIZE, SIZE), Image.Resampling.LANCZOS).save(data, "JPEG", quality=85)
    return data.getvalue()


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _texture(
    draw: ImageDraw.ImageDraw, texture: int, side: int, shade: tuple[int, int, int], rng: np.random.Generator
) -> None:
    step = int(side * rng.uniform(0.11, 0.15))
    start = -int(rng.integers(step))
    if texture == 1:  # stripes
        for x in range(start - side, side, step):
            draw.line([(x, 0), (x + side, side)], fill=shade, width=step // 3)
    elif texture == 2:  # dots
        for x in range(start, side, step):
            for y in range(start, side, step):
                draw.ellipse([x, y, x + step // 2, y + step // 2], fill=shade)
    elif texture == 3:  # checks
        for column, x in enumerate(range(start, side, step)):
            for row, y in enumerate(range(start, side, step)):
                if (column + row) % 2:
                    draw.rectangle([x, y, x + step, y + step], fill=shade)


def _shape(
    draw: ImageDraw.ImageDraw,
    shape: int,
    centre: tuple[float, float],
    radius: float,
    turn: float,
    ground: tuple[int, int, int],
) -> None:
    ink = (250, 248, 240)
    if shape in (0, 1):  # disc, ring
        box = [centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius]
        draw.ellipse(box, fill=ink)
        if shape == 1:
            hole = radius * 0.55
            draw.ellipse([centre[0] - hole, centre[1] - hole, centre[0] + hole, centre[1] + hole], fill=ground)
        return
    corners = {2: [1.0] * 3, 3: [1.0, 0.42] * 5}[shape]
    spread = 2 * math.pi / len(corners)
    draw.polygon(
        [
            (
                centre[0] + radius * reach * math.sin(turn + k * spread),
                centre[1] - radius * reach * math.cos(turn + k * spread),
            )
            for k, reach in enumerate(corners)
        ],
        fill=ink,
    )
