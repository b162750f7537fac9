"""The S3 store against the real server: the same answers as the local one."""

from pathlib import Path

import pytest

from components.errors import StepError
from components.storage.objects import MissingBlobError, open_store
from tests.services.s3 import S3Server

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("as_writer")]


def test_a_prefix_is_a_store(bucket: str) -> None:
    store, neighbour = open_store(f"s3://{bucket}/a/prefix/"), open_store(f"s3://{bucket}/a/prefix-2")
    neighbour.put("x", b"theirs")
    store.put("y/b.bin", b"12")
    store.put("y/a.bin", b"1")
    store.put("y/a.bin", b"123")
    assert list(store.listing().items()) == [("y/a.bin", 3), ("y/b.bin", 2)]
    assert list(store.listing("y/b")) == ["y/b.bin"]
    assert (store.get("y/a.bin"), store.exists("y/a.bin"), store.exists("y"), store.exists("x")) == (
        b"123",
        True,
        False,
        False,
    )
    store.rename("y/a.bin", "z/a.bin")
    assert store.get("z/a.bin") == b"123"
    with pytest.raises(MissingBlobError, match=r"y/a\.bin does not exist"):
        store.rename("y/a.bin", "z/a.bin")
    store.delete("z/a.bin")
    store.delete("z/a.bin")
    assert list(store.listing()) == ["y/b.bin"]


def test_big_files_go_in_parts_and_come_back_whole(tmp_path: Path, bucket: str) -> None:
    source = tmp_path / "big.bin"
    source.write_bytes(bytes(range(256)) * 80_000)  # 20 MB: beyond one part
    store = open_store(f"s3://{bucket}")
    store.upload("big.bin", source)
    store.download("big.bin", tmp_path / "copy/big.bin")
    assert (tmp_path / "copy/big.bin").read_bytes() == source.read_bytes()


def test_more_names_than_one_page(bucket: str) -> None:
    store = open_store(f"s3://{bucket}/many")
    for number in range(1_005):
        store.put(f"{number:04}", b"")
    assert list(store.listing()) == [f"{number:04}" for number in range(1_005)]


def test_what_is_missing_or_forbidden_is_said(
    tmp_path: Path, s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"s3://{bucket}/a")
    with pytest.raises(MissingBlobError, match=rf"s3://{bucket}/a/gone does not exist"):
        store.get("gone")
    with pytest.raises(MissingBlobError, match="gone does not exist"):
        store.download("gone", tmp_path / "x")
    assert not (tmp_path / "x").exists()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StepError, match=r"SignatureDoesNotMatch; the secret key is wrong"):
        open_store(f"s3://{bucket}/a").put("x", b"")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises(StepError, match=r"S3 answered InvalidAccessKeyId; the access key is unknown"):
        open_store(f"s3://{bucket}/a").put("x", b"")
    for name, value in s3.reader.environment(s3.endpoint).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StepError, match=r"AccessDenied; the credentials may not do this"):
        open_store(f"s3://{bucket}/a").put("x", b"")
