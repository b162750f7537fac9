"""What `data.dvc` may say."""

import pytest

from components.errors import StepError
from components.ingest.revision import is_md5, parse_pointer

A = "a" * 32


def pointer(**changes: object) -> bytes:
    out = {"md5": f"{A}.dir", "size": 7, "nfiles": 1, "hash": "md5", "path": "data", **changes}
    fields = "\n  ".join(f"{name}: {value}" for name, value in out.items() if value is not None)
    return f"outs:\n- \n  {fields}\n".encode()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (pointer(), (A, 7)),
        (pointer(path="data/"), (A, 7)),
        (pointer(size=0), (A, 0)),
        (pointer(size=None), (A, 0)),
    ],
)
def test_a_pointer_to_the_folder_is_read(text: bytes, found: tuple[str, int]) -> None:
    assert parse_pointer(text, "c" * 40) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (pointer(md5=None), "is not what `dvc add data` writes"),
        (pointer(path=None), "is not what `dvc add data` writes"),
        (pointer(size="much"), "is not what `dvc add data` writes"),
        (b"outs: []", "is not what `dvc add data` writes"),
        (pointer() + b"- md5: x\n", "is not what `dvc add data` writes"),
        (b"- outs", "is not what `dvc add data` writes"),
        (b"outs: [", "is not what `dvc add data` writes"),
        (pointer(hash=None), "was written by DVC 2"),
        (pointer(hash="sha256"), "was written by DVC 2"),
        (pointer(size=-1), "it must version the folder data/"),
        (pointer(path="other"), "it must version the folder data/"),
        (pointer(path="data/sub"), "it must version the folder data/"),
        (pointer(md5=A), "it must version the folder data/"),
        (pointer(md5=f"{A}.file"), "it must version the folder data/"),
        (pointer(md5="a.dir"), "it must version the folder data/"),
    ],
)
def test_anything_else_is_refused_with_its_commit(text: bytes, said: str) -> None:
    with pytest.raises(StepError, match=rf"^data\.dvc at {'c' * 12} .*{said}"):
        parse_pointer(text, "c" * 40)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("0123456789abcdef" * 2, True), ("a" * 31, False), ("a" * 33, False), ("A" * 32, False), ("", False)],
)
def test_an_md5_has_32_small_hexadecimal_digits(text: str, is_one: bool) -> None:
    assert is_md5(text) is is_one
