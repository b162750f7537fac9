"""From an image file's bytes to pixels, or to the reason why there are none.

Files come from outside and may be anything: every kind of damage has a name, and nothing is decoded before its size is
known.
"""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# No vector or script formats: Pillow would start Ghostscript for an .eps.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")  # more than 8 bits a channel; Pillow's own conversion clips them


@dataclass(frozen=True)
class Picture:
    """Pixels HWC in 0..255, or the cause of their absence; a note says what was unusual but usable."""

    pixels: np.ndarray | None
    cause: str = ""
    note: str = ""


def read_picture(data: bytes, size: int, pixel_limit: int) -> Picture:
    """The central square of an image as `size` × `size` RGB."""
    if not data:
        return Picture(None, "empty file")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return _square(image, size, pixel_limit)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Picture(None, "too many pixels")
    except UnidentifiedImageError:
        return Picture(None, "not an image")
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error):
        # What Pillow's decoders raise on bytes that stop early or contradict their header.
        return Picture(None, "truncated or damaged")


def _square(image: Image.Image, size: int, pixel_limit: int) -> Picture:
    if image.width * image.height > pixel_limit:
        return Picture(None, "too many pixels")
    notes = []
    if getattr(image, "n_frames", 1) > 1:
        notes.append("animated: first frame")
        image.seek(0)
    if image.mode not in ("RGB", "L"):
        notes.append(_mode_note(image.mode))
    # A JPEG can be decoded at a fraction of its size: never below twice what is needed, so that nothing is lost.
    image.draft("RGB" if image.mode in ("RGB", "L", "YCbCr") else None, (2 * size, 2 * size))
    image.load()
    rgb = _rgb(ImageOps.exif_transpose(image))
    side = min(rgb.size)
    left, top = (rgb.width - side) / 2, (rgb.height - side) / 2
    # Cutting and resizing in one call: a 1 × 50,000 strip is never blown up to full size first.
    cut = rgb.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side), reducing_gap=3.0)
    return Picture(np.asarray(cut), note="; ".join(note for note in notes if note))


def _mode_note(mode: str) -> str:
    if mode in _DEEP:
        return "more than 8 bits a channel"
    return {"CMYK": "CMYK", "RGBA": "transparent: on white", "LA": "transparent: on white"}.get(mode, "")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in _DEEP:
        return _from_deep(image)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """Grey values of 16 bits are 0..65535. Those of 32 bits and floats have no fixed white, so their own range
    is used.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    low, high = (0.0, 65535.0) if image.mode.startswith("I;16") else (float(values.min()), float(values.max()))
    if image.mode == "I" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0  # how older versions of Pillow present a 16-bit PNG
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0.0, 1.0) * 255.0
    return Image.fromarray(scaled.round().astype(np.uint8), "L").convert("RGB")
