"""Whatever a repository holds in place of data.dvc and its manifest, the answer is a list of files or one line."""

import contextlib
import json
from pathlib import PurePosixPath

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from components.errors import StepError
from components.ingest.manifest import ListedFile, manifest_md5, read_manifest
from components.ingest.revision import is_md5, parse_pointer

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["md5", "relpath", "x"]), inner),
    max_leaves=12,
)
_md5 = st.text("0123456789abcdef", min_size=32, max_size=32)
_pointer = st.fixed_dictionaries(
    {
        "outs": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "md5": _md5.map(lambda digest: f"{digest}.dir") | _json,
                    "size": st.integers() | _json,
                    "hash": st.sampled_from(["md5", "sha256"]) | _json,
                    "path": st.sampled_from(["data", "data/", "../data"]) | _json,
                },
            ),
            max_size=2,
        )
        | _json
    }
)


@example(b"[" * 100_000)
@given(st.binary(max_size=300) | _json.map(lambda value: json.dumps(value).encode()))
def test_any_manifest(data: bytes) -> None:
    with contextlib.suppress(StepError):
        for entry in read_manifest(data):
            assert is_md5(entry.md5)
            assert ".." not in PurePosixPath(entry.path).parts


@example(b"[" * 1_500)
@given(st.binary(max_size=300) | _pointer.map(lambda value: yaml.safe_dump(value).encode()))
def test_any_pointer(data: bytes) -> None:
    with contextlib.suppress(StepError):
        md5, size = parse_pointer(data, "0" * 40)
        assert is_md5(md5)
        assert size >= 0


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}(/[a-z]{1,5})?\.[a-z]{3}", fullmatch=True), _md5, max_size=6))
def test_a_manifest_is_named_by_its_content_and_not_by_its_order(files: dict[str, str]) -> None:
    entries = [ListedFile(path, md5) for path, md5 in files.items()]
    assert manifest_md5(entries) == manifest_md5(entries[::-1])
    listed = json.dumps([{"md5": entry.md5, "relpath": entry.path} for entry in entries]).encode()
    assert read_manifest(listed) == entries
