"""The local store, and what both stores refuse; the S3 store meets a real server in tests/integration."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.errors import StepError
from components.storage.objects import LocalStore, S3Store, StoreRefusedError, is_remote, open_store


def test_a_blob_comes_back_as_it_was_put(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    store.put("a/b.bin", b"one")
    store.put("a/b.bin", b"two")
    assert store.get("a/b.bin") == b"two"
    assert store.exists("a/b.bin")
    assert not store.exists("a")


def test_list_is_sorted_by_name_and_leaves_scratch_files_out(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for name in ("b", "a/z", "a/y"):
        store.put(name, b"12")
    (tmp_path / ".b.scratch").write_bytes(b"half")
    assert list(store.listing().items()) == [("a/y", 2), ("a/z", 2), ("b", 2)]
    assert list(store.listing("a/")) == ["a/y", "a/z"]
    assert open_store(tmp_path / "nowhere").listing() == {}


def test_files_go_in_and_out_without_a_detour(tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(b"payload")
    store = open_store(f"file://{tmp_path}/store")
    store.upload("x/y.bin", source)
    store.download("x/y.bin", tmp_path / "copy/x/y.bin")
    assert (tmp_path / "copy/x/y.bin").read_bytes() == b"payload"
    store.delete("x/y.bin")
    store.delete("x/y.bin")
    assert store.listing() == {}


def test_a_blob_gets_another_name(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put("x/y.bin", b"payload")
    store.rename("x/y.bin", "x/z.bin")
    assert list(store.listing()) == ["x/z.bin"]
    assert store.get("x/z.bin") == b"payload"
    with pytest.raises(StepError, match=r"y\.bin does not exist"):
        store.rename("x/y.bin", "x/z.bin")


def test_a_missing_blob_is_named(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with pytest.raises(StepError, match=r"gone\.bin does not exist"):
        store.get("gone.bin")
    with pytest.raises(StepError, match=r"gone\.bin does not exist"):
        store.download("gone.bin", tmp_path / "x")


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../up", "a/../../up"])
def test_a_name_cannot_leave_the_store(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="must be a relative path"):
        open_store(tmp_path).put(name, b"")


def test_of_several_at_once_one_creates_a_blob(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda n: store.create("a/b", b"%d" % n), range(8)))
    assert sorted(created) == [False] * 7 + [True]
    assert store.get("a/b") == b"%d" % created.index(True)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file where a folder should be")
    with pytest.raises(StoreRefusedError, match=r"a/b can't be written: File exists"):
        open_store(tmp_path).create("a/b", b"")


def test_a_failed_put_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path)
    store.put("kept", b"old")

    def no_room(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", no_room)
    with pytest.raises(OSError, match="No space"):
        store.put("kept", b"new")
    assert store.get("kept") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("s3://bucket/some/prefix", S3Store),
        ("file:///tmp/x", LocalStore),
        ("/tmp/x", LocalStore),
        ("rel/x", LocalStore),
    ],
    ids=["s3", "file-uri", "absolute", "relative"],
)
def test_the_location_decides_the_store(location: str, kind: type) -> None:
    assert type(open_store(location)) is kind
    assert is_remote(location) == (kind is S3Store)


@pytest.mark.parametrize("location", ["gs://bucket/x", "s3:///prefix"], ids=["scheme", "no-bucket"])
def test_a_location_it_cannot_serve_is_refused(location: str) -> None:
    with pytest.raises(ValueError, match="location = "):
        open_store(location)


def test_a_server_that_does_not_answer_is_a_step_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StepError, match=r"s3://bucket/prefix/a.*check AWS_ENDPOINT_URL"):
        open_store("s3://bucket/prefix").get("a")
