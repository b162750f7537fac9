"""The picture by which a person judges the embeddings: some items with their nearest by text, by image and by both."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from components.dataset.images import ImageFolder
from components.dataset.pictures import read_picture
from components.embed.quality import NEAREST, View
from components.storage.files import atomic_path

PIXEL_LIMIT = 50_000_000
MARGIN, GAP, LABEL, QUERY, TILE, CAPTION = 32, 14, 58, 232, 112, 34  # pixels
BAND = 3 * (TILE + CAPTION) + GAP
WIDTH = MARGIN + QUERY + 2 * GAP + LABEL + NEAREST * (TILE + GAP) + MARGIN
INK, FAINT, PAPER, EMPTY, LINE = "#1b1f24", "#6b7280", "#ffffff", "#e5e7eb", "#e5e7eb"


@dataclass(frozen=True)
class Captions:
    """What the picture says of the item at each position of the views."""

    ids: Sequence[int]
    titles: Sequence[str]
    images: ImageFolder


def draw_contact_sheet(captions: Captions, views: list[View], queries: np.ndarray, path: Path) -> None:
    header = 72
    sheet = Image.new("RGB", (WIDTH, header + max(len(queries), 1) * (BAND + GAP) + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 22), "Nearest neighbours", INK, _font(22))
    draw.text((MARGIN + 222, 29), "an item, and the five nearest to it by what the encoders saw", FAINT, _font(13))
    for band, query in enumerate(queries):
        top = header + band * (BAND + GAP)
        draw.line((MARGIN, top - GAP // 2, WIDTH - MARGIN, top - GAP // 2), LINE)
        _item(sheet, captions, int(query), (MARGIN, top + 6), QUERY, 15, 4)
        for line, view in enumerate(views):
            _neighbours(sheet, captions, view, int(query), top + 6 + line * (TILE + CAPTION))
    with atomic_path(path) as scratch:
        sheet.save(scratch, "PNG", optimize=False, compress_level=1)


def _neighbours(sheet: Image.Image, captions: Captions, view: View, query: int, top: int) -> None:
    draw = ImageDraw.Draw(sheet)
    left = MARGIN + QUERY + 2 * GAP
    draw.text((left, top + TILE // 2 - 8), view.name, INK, _font(15))
    near, cosines = view.nearest(np.array([query]))
    for place, (other, cosine) in enumerate(zip(near[0], cosines[0], strict=True)):
        if np.isfinite(cosine):
            corner = (left + LABEL + place * (TILE + GAP), top)
            _item(sheet, captions, int(other), corner, TILE, 10, 2)
            box = (corner[0], corner[1] + TILE - 15, corner[0] + 30, corner[1] + TILE)
            draw.rectangle(box, "#000000")
            draw.text((box[0] + 4, box[1] + 1), f"{cosine:.2f}", "#ffffff", _font(10))


def _item(
    sheet: Image.Image, captions: Captions, row: int, corner: tuple[int, int], size: int, font: int, lines: int
) -> None:
    draw = ImageDraw.Draw(sheet)
    left, top = corner
    item = captions.ids[row]
    picture = read_picture(captions.images.read(item), size, PIXEL_LIMIT) if item in captions.images else None
    if picture is not None and picture.pixels is not None:
        sheet.paste(Image.fromarray(picture.pixels), corner)
    else:
        draw.rectangle((left, top, left + size, top + size), EMPTY)
        draw.text((left + size // 2, top + size // 2), "no cover", FAINT, _font(max(font, 11)), anchor="mm")
    title = captions.titles[row] or f"item {item}"
    width = max(int(size / (font * 0.54)), 8)
    text = "\n".join(textwrap.wrap(title, width, max_lines=lines, placeholder=" …"))
    draw.multiline_text((left, top + size + 4), text, INK, _font(font), spacing=2)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
