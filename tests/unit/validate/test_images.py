"""How validation reads pictures from a folder or from shards, and what it says of damaged ones."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.validate.images import measure_images
from components.validate.measured import Measured


def picture(seed: int, kind: str = "JPEG") -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


def measured_in(data: Path, decoded: int = 0) -> Measured:
    measured = Measured()
    measured.add("items", "item_id", pd.DataFrame({"item_id": np.arange(1, 6)}))
    measure_images(data, decoded, measured)
    return measured


def test_a_folder_and_a_shard_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "item_images").mkdir()
    (tmp_path / "item_images" / "1.jpg").write_bytes(picture(1))
    (tmp_path / "item_images" / "2.png").write_bytes(picture(2, "PNG"))
    (tmp_path / "item_images" / "notes.txt").write_text("no picture")
    with tarfile.open(tmp_path / "item_images-00000.tar", "w") as tar:
        member = tarfile.TarInfo("3.jpg")
        content = picture(3)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    measured = measured_in(tmp_path)
    assert measured.tables["items"]["has_image"].tolist() == [1, 1, 1, 0, 0]
    assert sorted(measured.tables["images"]["item_id"]) == [1, 2, 3]
    assert measured.examples["images.problem"] == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"  <!doctype html>", "markup"),
        (b"plain words", "recognised"),
        (picture(4)[:800], "truncated"),
        (picture(4, "PNG")[:-900], "truncated"),
    ],
    ids=["empty", "html", "text", "cut jpeg", "cut png"],
)
def test_what_is_wrong_with_a_picture_is_said(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "item_images").mkdir()
    (tmp_path / "item_images" / "4.jpg").write_bytes(content)
    (problem,) = measured_in(tmp_path).examples["images.problem"]
    assert problem["item_id"] == 4
    assert words in problem["problem"]
    assert "0x" not in problem["problem"]  # no address of an object: two runs say the same


def test_a_draw_is_decoded_and_all_are_listed(tmp_path: Path) -> None:
    (tmp_path / "item_images").mkdir()
    for item in range(1, 6):
        (tmp_path / "item_images" / f"{item}.jpg").write_bytes(picture(item))
    first, second = (measured_in(tmp_path, decoded=2) for _ in range(2))
    assert first.tables["items"]["has_image"].sum() == 5
    assert len(first.tables["images"]) == 2
    assert first.tables["images"]["item_id"].tolist() == second.tables["images"]["item_id"].tolist()


def test_no_pictures_are_no_finding(tmp_path: Path) -> None:
    measured = measured_in(tmp_path)
    assert "optional" in measured.why_absent("images", "problem")
    assert "optional" in measured.why_absent("items", "has_image")
