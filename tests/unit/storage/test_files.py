from pathlib import Path

import pytest

from components.errors import StepError
from components.storage.files import atomic_path, read_json, sha256_json, write_json


def _fail_half_way(path: Path) -> None:
    with atomic_path(path) as scratch:
        scratch.write_text("half")
        raise RuntimeError("half way")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError, match="half way"):
        _fail_half_way(path)
    assert read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_numbers_that_json_can_not_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "value.json", {"auc": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("content", "words"), [(None, "is missing"), ("{", "is not JSON")], ids=["missing", "torn"])
def test_an_unreadable_file_is_named(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "value.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StepError, match=words):
        read_json(path)


def test_the_hash_of_a_value_ignores_the_order_of_its_keys() -> None:
    assert sha256_json({"a": 1, "b": [1, 2]}) == sha256_json({"b": [1, 2], "a": 1})
    assert sha256_json({"a": 1}) != sha256_json({"a": 2})
