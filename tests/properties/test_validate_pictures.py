"""No bytes crash the look at a picture: it decodes, or something is said to be wrong."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.validate.images import _problem

NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8))


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    NOISE.save(file, kind)
    return file.getvalue()


WHOLE = {kind: encoded(kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF")}


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_undamaged_pictures_have_no_problem(kind: str) -> None:
    assert _problem(WHOLE[kind]) == ""


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow remarks on odd metadata and goes on
@settings(max_examples=300)
@given(kind=st.sampled_from(sorted(WHOLE)), place=st.floats(0, 1, exclude_max=True), junk=st.binary(max_size=32))
def test_damaged_pictures_never_crash(kind: str, place: float, junk: bytes) -> None:
    at = int(len(WHOLE[kind]) * place)
    for content in (WHOLE[kind][:at], WHOLE[kind][:at] + junk + WHOLE[kind][at + len(junk) :], WHOLE[kind][:12] + junk):
        assert isinstance(_problem(content), str)


@settings(max_examples=60)
@given(place=st.floats(0, 0.98))
def test_a_jpeg_cut_short_is_always_noticed(place: float) -> None:
    assert _problem(WHOLE["JPEG"][: int(len(WHOLE["JPEG"]) * place)])
