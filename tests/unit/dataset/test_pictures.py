"""Unusual image files: a usable one gives the right pixels, any other one a reason."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from components.dataset.pictures import read_picture
from tests.unit.embed.dataset import encoded, picture

LIMIT = 50_000_000


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises a huge picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


def grey16(values: np.ndarray) -> bytes:
    return encoded(Image.fromarray(values.astype(np.uint16)), "PNG")


JPEG, PNG = encoded(picture(1)), encoded(picture(1), "PNG")


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "empty file"),
        (b"<html>404 not found</html>", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n", "not an image"),
        (JPEG[: len(JPEG) // 2], "truncated or damaged"),
        (PNG[: len(PNG) // 2], "truncated or damaged"),
        (PNG[:60] + bytes(20) + PNG[80:], "truncated or damaged"),
        (bomb(8_000, 8_000), "too many pixels"),
        (bomb(60_000, 60_000), "too many pixels"),
    ],
    ids=["zero-byte", "html", "eps", "half-jpeg", "half-png", "broken-png", "bomb", "bomb-beyond-pillow"],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_cannot_be_used_has_a_cause(data: bytes, cause: str) -> None:
    read = read_picture(data, 32, LIMIT)
    assert read.pixels is None
    assert read.cause == cause


def test_an_ordinary_picture_keeps_its_pixels() -> None:
    read = read_picture(encoded(picture(3, 32), "PNG"), 32, LIMIT)
    assert read.pixels is not None
    assert (read.cause, read.note) == ("", "")
    np.testing.assert_array_equal(read.pixels, np.asarray(picture(3, 32)))


def colour(data: bytes) -> tuple[np.ndarray, str]:
    read = read_picture(data, 8, LIMIT)
    assert read.pixels is not None, read.cause
    return read.pixels.reshape(-1, 3).mean(0), read.note


ORANGE = (250, 120, 20)


def animated() -> bytes:
    frames = [Image.new("RGB", (16, 16), c) for c in (ORANGE, (0, 0, 255), (0, 255, 0))]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("data", "expected", "note"),
    [
        (animated(), ORANGE, "animated: first frame"),
        (encoded(Image.new("RGB", (16, 16), ORANGE).convert("CMYK"), "JPEG", quality=98), ORANGE, "CMYK"),
        (grey16(np.full((16, 16), 65535 // 2)), (127.5, 127.5, 127.5), "more than 8 bits a channel"),
        (grey16(np.full((16, 16), 300)), (1, 1, 1), "more than 8 bits a channel"),
        (encoded(Image.new("L", (16, 16), 77), "PNG"), (77, 77, 77), ""),
        (encoded(Image.new("RGBA", (16, 16), (255, 0, 0, 0)), "PNG"), (255, 255, 255), "transparent: on white"),
        (encoded(Image.new("RGB", (16, 16), ORANGE).convert("P"), "PNG"), (255, 119, 20), ""),
        (encoded(Image.new("1", (16, 16), 1), "PNG"), (255, 255, 255), ""),
        (encoded(Image.new("RGB", (16, 16), ORANGE), "WEBP", lossless=True), ORANGE, ""),
        (encoded(Image.new("RGB", (1, 40_000), ORANGE), "PNG"), ORANGE, ""),
        (encoded(Image.new("RGB", (1, 1), ORANGE), "PNG"), ORANGE, ""),
    ],
    ids=[
        "animated",
        "cmyk",
        "16-bit-mid",
        "16-bit-dark",
        "grey",
        "transparent",
        "palette",
        "one-bit",
        "webp",
        "strip",
        "dot",
    ],
)
def test_odd_pictures_give_the_colours_a_person_sees(data: bytes, expected: tuple[float, ...], note: str) -> None:
    seen, told = colour(data)
    np.testing.assert_allclose(seen, expected, atol=8)
    assert told == note


def test_a_photo_turned_by_its_camera_is_turned_back() -> None:
    image = Image.new("RGB", (40, 40), "white")
    image.paste("black", (0, 0, 40, 20))  # dark above
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn to the right
    read = read_picture(encoded(image, "JPEG", exif=exif, quality=95), 40, LIMIT)
    assert read.pixels is not None
    assert read.pixels[:, 30:].mean() < 20 < 235 < read.pixels[:, :10].mean()


def test_a_large_jpeg_is_cut_to_its_middle_square() -> None:
    image = Image.new("RGB", (1200, 400), "white")
    image.paste(ORANGE, (400, 0, 800, 400))
    mean, _ = colour(encoded(image, "JPEG", quality=95))
    np.testing.assert_allclose(mean, ORANGE, atol=8)


def test_every_prefix_of_a_file_has_pixels_or_a_cause() -> None:
    buffer = io.BytesIO()
    picture(5, 24).save(buffer, "JPEG")
    data = buffer.getvalue()
    for length in range(len(data)):
        read = read_picture(data[:length], 16, LIMIT)
        assert (read.pixels is None) == bool(read.cause)
