"""A real S3 server for tests: SeaweedFS. One for the session, a fresh bucket for each test that asks.

    def test_it(s3: S3Server, bucket: str, as_writer: None): ...

`as_writer` and `as_reader` set the default credential chain's variables; nothing else is needed to reach the server.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.s3 import Identity, S3Server, make_identity

__all__ = ["Identity", "S3Server", "make_identity"]


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Shared: who kills it (`s3.kill()`) starts it again (`s3.start()`)."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.make_bucket()


def use_identity(monkeypatch: pytest.MonkeyPatch, server: S3Server, identity: Identity, home: Path) -> None:
    """This identity and no other: the machine's own profiles and files are out of sight."""
    for name, value in identity.environment(server.endpoint).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "no-aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "no-aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def as_writer(s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_identity(monkeypatch, s3, s3.writer, tmp_path)


@pytest.fixture
def as_reader(s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_identity(monkeypatch, s3, s3.reader, tmp_path)
