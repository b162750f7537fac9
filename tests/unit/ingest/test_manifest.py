"""The list of a dataset's files: read, named by its own hash, and made from a folder."""

import hashlib
import json
from pathlib import Path

import pytest

from components.errors import StepError
from components.ingest.manifest import ListedFile, list_folder, manifest_md5, md5_file, read_manifest

A, B = "a" * 32, "b" * 32


def listed(*entries: object) -> bytes:
    return json.dumps(entries).encode()


def test_a_list_is_read_in_its_own_order() -> None:
    data = listed({"md5": B, "relpath": "item_images/1.jpg"}, {"md5": A, "relpath": "train.parquet", "size": 3})
    assert read_manifest(data) == [ListedFile("item_images/1.jpg", B), ListedFile("train.parquet", A)]
    assert read_manifest(b"[]") == []


@pytest.mark.parametrize("data", [b"", b"{", b"3", b"null", listed(1), listed({"md5": A}), listed({"relpath": "x"})])
def test_what_is_no_list_of_files_is_refused(data: bytes) -> None:
    with pytest.raises(StepError, match="the data's manifest is not a list of files: dvc push it again"):
        read_manifest(data)


@pytest.mark.parametrize(
    ("path", "md5"),
    [
        ("/etc/passwd", A),
        ("../train.parquet", A),
        ("item_images/../../x", A),
        ("", A),
        (".", A),
        ("train.parquet", "a" * 31),
        ("train.parquet", "a" * 33),
        ("train.parquet", "A" * 32),
        ("train.parquet", "g" + "a" * 31),
    ],
)
def test_a_path_outside_and_a_name_that_is_no_md5_are_refused(path: str, md5: str) -> None:
    with pytest.raises(StepError, match="only files inside data/ are taken"):
        read_manifest(listed({"md5": A, "relpath": "good"}, {"md5": md5, "relpath": path}))


def test_a_name_with_two_dots_in_it_is_inside() -> None:
    assert read_manifest(listed({"md5": A, "relpath": "a..b/c"})) == [ListedFile("a..b/c", A)]


def test_the_name_of_a_dataset_is_the_md5_of_its_list_sorted_by_folders() -> None:
    """DVC compares paths part by part: `a/z` comes before `a-b`, though `-` comes before `/`."""
    text = f'[{{"md5": "{A}", "relpath": "a/z"}}, {{"md5": "{B}", "relpath": "a-b"}}]'
    expected = hashlib.md5(text.encode()).hexdigest()
    assert manifest_md5([ListedFile("a-b", B), ListedFile("a/z", A)]) == expected
    assert manifest_md5([ListedFile("a/z", A), ListedFile("a-b", B)]) == expected


@pytest.mark.parametrize("size", [0, 1, 2**20, 2**20 + 1, 3 * 2**20])
def test_a_file_is_hashed_whole_and_its_bytes_are_counted(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "file").write_bytes(content)
    counted: list[int] = []
    assert md5_file(tmp_path / "file", counted.append) == md5_file(tmp_path / "file")
    assert md5_file(tmp_path / "file") == hashlib.md5(content).hexdigest()
    assert sum(counted) == size
    assert all(0 < count <= 2**20 for count in counted)


def test_the_files_of_a_folder_are_listed_in_order_and_folders_are_not(tmp_path: Path) -> None:
    for name in ("b/2", "a", "b/1", "c/d/e"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in list_folder(tmp_path)] == ["a", "b/1", "b/2", "c/d/e"]
