"""Ingest from a real S3 server that checks signatures: two revisions, wrong keys, power cuts, sixteen at once."""

import contextlib
import hashlib
import logging
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.dataset.sample import SampleSpec
from components.errors import StepError
from components.ingest.manifest import md5_file
from components.ingest.objects import Patience
from components.ingest.step import ingest
from components.storage import versioning
from components.storage.versioning import Remote
from tests.services.s3 import S3Server, make_identity, use_identity
from tests.unit.ingest.conftest import IMPATIENT, commit_data, git

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("as_writer")]


BALLAST = 24 * 2**20  # bytes of the largest object: more than the sockets between client and server hold
BUCKET = "ingest"  # it stands in the committed config, so every test finds it filled anew


@pytest.fixture(scope="session")
def _template(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A repository whose two revisions, tagged one and two, were pushed, and what lies in the bucket since."""
    root = tmp_path_factory.mktemp("template") / "repository"
    (root / ".dvc").mkdir(parents=True)
    git(root, "init", "-q", "-b", "main")
    (root / ".dvc" / "config").write_text(
        f"[core]\n    analytics = false\n    remote = s3\n['remote \"s3\"']\n    url = s3://{BUCKET}/data\n"
    )
    (root / ".gitignore").write_text("/data\n/.dvc/cache\n/.dvc/tmp\n")
    s3.make_bucket(BUCKET)
    with pytest.MonkeyPatch.context() as patch:
        use_identity(patch, s3, s3.writer, root)
        for tag, rows, ballast in (("one", 80, 0), ("two", 120, BALLAST)):
            commit_data(root, SampleSpec(items=40, train_rows=rows, valid_rows=40, test_rows=40), tag, ballast)
    shutil.rmtree(root / ".dvc" / "cache")
    keys = [entry["Key"] for entry in s3.client().list_objects_v2(Bucket=BUCKET)["Contents"]]
    return root, {key: s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


@pytest.fixture
def pushed(s3: S3Server, _template: tuple[Path, dict[str, bytes]], tmp_path: Path) -> Path:
    root, content = _template
    client = s3.client()
    listed = client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    there = {entry["Key"]: entry["ETag"].strip('"') for entry in listed}
    for key, body in content.items():
        if there.get(key) != hashlib.md5(body, usedforsecurity=False).hexdigest():  # what an earlier test spoilt
            client.put_object(Bucket=BUCKET, Key=key, Body=body)
    shutil.copytree(root, tmp_path / "repository", symlinks=True)
    return tmp_path / "repository"


def _train_rows(out: Path) -> int:
    return int(pq.ParquetFile(out / "train.parquet").metadata.num_rows)


def _key(root: Path, name: str = "train.parquet") -> str:
    md5 = md5_file(root / "data" / name)
    return f"data/files/md5/{md5[:2]}/{md5[2:]}"


def test_push_and_pull_at_two_revisions(pushed: Path, tmp_path: Path) -> None:
    for tag, rows in (("one", 80), ("two", 120)):
        lineage = ingest(str(pushed), tag, tmp_path / tag, tmp_path / "cache")
        assert _train_rows(tmp_path / tag) == rows
        assert lineage.remote == f"s3://{BUCKET}/data"


def test_a_url_instead_of_the_revisions_own_remote(pushed: Path, tmp_path: Path, s3: S3Server) -> None:
    other = s3.make_bucket()
    client = s3.client()
    for entry in client.list_objects_v2(Bucket=BUCKET)["Contents"]:
        copied = client.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
        client.put_object(Bucket=other, Key=entry["Key"].replace("data/", "elsewhere/", 1), Body=copied)
        client.delete_object(Bucket=BUCKET, Key=entry["Key"])
    lineage = ingest(str(pushed), "two", tmp_path / "out", tmp_path / "cache", remote=f"s3://{other}/elsewhere")
    assert lineage.remote == f"s3://{other}/elsewhere"


def test_a_read_only_identity_may_pull_and_not_push(
    pushed: Path, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_identity(monkeypatch, s3, s3.reader, tmp_path)
    ingest(str(pushed), "two", tmp_path / "out", tmp_path / "cache")
    assert _train_rows(tmp_path / "out") == 120
    (pushed / "data" / "more.txt").write_text("more")
    versioning.add(pushed, pushed / "data")
    with pytest.raises(StepError, match=r"dvc push failed: .*; check the remote and its credentials"):
        versioning.push(pushed, pushed / "data.dvc")


@pytest.mark.parametrize("wrong", ["key", "secret", "none"])
def test_wrong_credentials(
    pushed: Path, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    stranger = make_identity("stranger")
    if wrong == "key":
        use_identity(monkeypatch, s3, stranger, tmp_path)
    elif wrong == "secret":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", stranger.secret_key)
    else:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StepError, match=r"s3://.* refuses these credentials .*: check AWS_ACCESS_KEY_ID") as raised:
        ingest(str(pushed), "two", tmp_path / "out", tmp_path / "cache", patience=IMPATIENT)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_missing_object_and_a_missing_bucket(pushed: Path, tmp_path: Path, s3: S3Server) -> None:
    s3.client().delete_object(Bucket=BUCKET, Key=_key(pushed))
    with pytest.raises(StepError, match=r"train\.parquet \(md5 .*\) is not in .*s3://.*: dvc push from where"):
        ingest(str(pushed), "two", tmp_path / "out", tmp_path / "cache", patience=IMPATIENT)
    with pytest.raises(StepError, match=r"is not in .*s3://no-such-bucket/data"):
        ingest(str(pushed), "two", tmp_path / "out", tmp_path / "other", "s3://no-such-bucket/data", IMPATIENT)
    assert not (tmp_path / "out").exists()


def test_a_corrupt_object(pushed: Path, tmp_path: Path, s3: S3Server) -> None:
    s3.client().put_object(Bucket=BUCKET, Key=_key(pushed), Body=b"not what was pushed")
    with pytest.raises(StepError, match=r"train\.parquet in s3://.* is corrupt: its md5 is .*, and should be"):
        ingest(str(pushed), "two", tmp_path / "out", tmp_path / "cache", patience=IMPATIENT)
    assert not (tmp_path / "out").exists()
    ingest(str(pushed), "one", tmp_path / "out", tmp_path / "cache")  # the other revision is not concerned
    assert _train_rows(tmp_path / "out") == 80


@contextlib.contextmanager
def _killed_within_an_object(pushed: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Kills the server once the first bytes of the largest object have come; the event is set then."""
    fetch, killed = Remote.fetch, threading.Event()
    large = md5_file(pushed / "data" / "ballast.bin")

    def watched(self: Remote, name: str, path: Path, on_bytes: Any) -> None:
        def kills(count: int) -> None:
            on_bytes(count)
            if name == large and not killed.is_set():
                s3.kill()
                killed.set()

        fetch(self, name, path, kills)

    monkeypatch.setattr(Remote, "fetch", watched)
    monkeypatch.setattr("components.ingest.objects.PARALLEL", 1)  # what came before the cut is known then
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # the client's own patience would only make the test longer
    try:
        yield killed
    finally:
        if s3.process is None:
            s3.start()


def _start_after(s3: S3Server, killed: threading.Event) -> None:
    killed.wait(300)
    s3.start()


def test_a_server_killed_in_the_middle_and_back_again(
    pushed: Path, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes back within the patience of the pull: nothing is to be seen but a later end."""
    with _killed_within_an_object(pushed, s3, monkeypatch) as killed:
        back = threading.Thread(target=_start_after, args=(s3, killed))
        back.start()
        ingest(str(pushed), "two", tmp_path / "out", tmp_path / "cache", patience=Patience(20, 0.2))
        back.join()
    assert killed.is_set()
    assert _train_rows(tmp_path / "out") == 120


def test_a_server_that_stays_away(pushed: Path, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with _killed_within_an_object(pushed, s3, monkeypatch):
        with pytest.raises(StepError, match=r"can't be fetched from s3://.*: check the endpoint and the network"):
            ingest(str(pushed), "two", tmp_path / "out", tmp_path / "cache", patience=IMPATIENT)
        assert not (tmp_path / "out").exists()
        assert not list((tmp_path / "cache" / "partial").iterdir())
        kept = {md5_file(path) for path in (tmp_path / "cache" / "files").rglob("*") if path.is_file()}
        assert md5_file(pushed / "data" / "ballast.bin") not in kept
    ingest(str(pushed), "two", tmp_path / "out", tmp_path / "cache")
    assert _train_rows(tmp_path / "out") == 120


_PULL = """
import sys
from pathlib import Path
from components.ingest.step import ingest
ingest(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
"""


def test_a_killed_pull_leaves_nothing_half(pushed: Path, tmp_path: Path) -> None:
    """SIGKILL at many moments; the output is whole or absent, and the next pull succeeds."""
    root = Path(__file__).parents[2]
    for moment in (0.6, 0.9, 1.2):
        out = tmp_path / f"out-{moment}"
        process = subprocess.Popen(
            [sys.executable, "-c", _PULL, str(pushed), "two", str(out), str(tmp_path / "cache")], cwd=root
        )
        time.sleep(moment)
        process.kill()
        process.wait()
        if out.exists():
            assert sorted(p.name for p in out.iterdir()) == sorted(
                [*(p.name for p in (pushed / "data").iterdir()), "lineage.json"]
            )
    ingest(str(pushed), "two", tmp_path / "out", tmp_path / "cache")
    assert _train_rows(tmp_path / "out") == 120


def test_sixteen_pulls_at_once_share_one_cache(pushed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch, fetched = Remote.fetch, []

    def counted(self: Remote, name: str, path: Path, on_bytes: Any) -> None:
        fetched.append(name)
        fetch(self, name, path, on_bytes)

    monkeypatch.setattr(Remote, "fetch", counted)

    def pull(number: int) -> None:
        ingest(str(pushed), "one" if number % 2 else "two", tmp_path / f"out-{number}", tmp_path / "cache")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(pull, range(16)))  # raises what any of them raised
    assert [_train_rows(tmp_path / f"out-{n}") for n in range(16)] == [120, 80] * 8
    assert len(fetched) == len(set(fetched))  # each object came once for all


def test_the_endpoint_may_stand_in_the_committed_config(
    pushed: Path, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with (pushed / ".dvc" / "config").open("a") as config:
        config.write(f"    endpointurl = {s3.endpoint}\n")
    git(pushed, "commit", "-qam", "endpoint")
    ingest(str(pushed), "main", tmp_path / "out", tmp_path / "cache")
    assert _train_rows(tmp_path / "out") == 120


def test_no_secret_is_written_anywhere(
    pushed: Path, tmp_path: Path, s3: S3Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Good and refused pulls: neither key nor secret in log, events, errors, lineage, output or cache."""
    caplog.set_level(logging.DEBUG, logger="components")
    monkeypatch.setenv("MMCTR_EVENTS", str(tmp_path / "events.jsonl"))
    planted = make_identity("planted")
    words = [planted.secret_key, s3.writer.secret_key]
    ingest(str(pushed), "two", tmp_path / "out", tmp_path / "cache")
    (pushed / ".dvc" / "config.local").write_text(
        f"['remote \"s3\"']\n    access_key_id = {planted.access_key}\n    secret_access_key = {planted.secret_key}\n"
    )
    with pytest.raises(StepError) as raised:
        ingest(str(pushed), "one", tmp_path / "out2", tmp_path / "cache", patience=IMPATIENT)
    said = [str(raised.value), caplog.text]
    files = [
        p for place in ("out", "cache", "events.jsonl") for p in [tmp_path / place, *(tmp_path / place).rglob("*")]
    ]
    said += [p.read_bytes().decode("latin-1") for p in files if p.is_file()]
    assert any("s3://" in text for text in said)
    for word in words:
        assert not [text for text in said if word in text]
