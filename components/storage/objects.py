"""Files in a local folder or under an S3 prefix, with the same few calls.

`open_store("s3://bucket/prefix")` and `open_store("/a/folder")` answer the same calls. A put happens completely or not
at all in both. The endpoint and the credentials are those that boto3 finds: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
AWS_PROFILE.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import urlsplit

from components.errors import StepError
from components.storage.files import atomic_path, flush

T = TypeVar("T")


class MissingBlobError(StepError):
    """The name is not there. Callers that can do without it catch this error."""


class StoreRefusedError(StepError):
    """This user may not do that here."""


class Store(ABC):
    """Named blobs under one root. Names are relative, with `/` between their parts."""

    def __init__(self, location: str) -> None:
        self.location = location

    @abstractmethod
    def listing(self, prefix: str = "") -> dict[str, int]:
        """Names that start with `prefix`, sorted, with their size in bytes; scratch files (`.x`) are left out."""

    @abstractmethod
    def exists(self, name: str) -> bool: ...

    @abstractmethod
    def get(self, name: str) -> bytes:
        """The bytes of one blob; StepError if there is none."""

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Writes one blob, whole or not at all; a reader sees the old bytes or the new, never a mix."""

    @abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Writes one blob unless the name is taken; False if it is. Of several at the same time one gets True.

        In a folder a kill may leave a blob that is cut off.
        """

    @abstractmethod
    def download(self, name: str, path: Path) -> None:
        """Copies one blob to a local file without holding it in memory."""

    @abstractmethod
    def upload(self, name: str, path: Path) -> None:
        """Copies one local file here without holding it in memory; whole or not at all."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Removes one blob; nothing happens if there is none."""

    @abstractmethod
    def rename(self, name: str, new: str) -> None:
        """Gives one blob another name; MissingBlobError if there is none."""


def open_store(location: str | Path) -> Store:
    """A store at a local path, `file://…` or `s3://bucket/prefix`. Nothing is created or contacted yet."""
    text = str(location)
    scheme = urlsplit(text).scheme if "://" in text else ""
    if scheme == "s3":
        return S3Store(text)
    if scheme not in ("", "file"):
        raise ValueError(f"location = {text!r}: must be a local path, file:///path or s3://bucket/prefix")
    return LocalStore(Path(urlsplit(text).path if scheme else text))


def is_remote(location: str | Path) -> bool:
    return str(location).startswith("s3://")


class LocalStore(Store):
    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.root = root

    def listing(self, prefix: str = "") -> dict[str, int]:
        return dict(sorted((name, size) for name, size in self._walk() if name.startswith(prefix)))

    def exists(self, name: str) -> bool:
        return self._path(name).is_file()

    def get(self, name: str) -> bytes:
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            raise _missing(self, name) from None

    def put(self, name: str, data: bytes) -> None:
        with atomic_path(self._path(name)) as scratch:
            scratch.write_bytes(data)

    def create(self, name: str, data: bytes) -> bool:
        path = self._path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("xb")
        except OSError as error:
            if path.exists():
                return False
            raise StoreRefusedError(f"{path} can't be written: {error.strerror}") from None
        try:
            with file:
                file.write(data)
            flush(path)
        except OSError as error:
            path.unlink()
            raise StepError(f"{path} can't be written: {error.strerror}") from None
        flush(path.parent)
        return True

    def download(self, name: str, path: Path) -> None:
        if not self.exists(name):
            raise _missing(self, name)
        _copy(self._path(name), path)

    def upload(self, name: str, path: Path) -> None:
        _copy(path, self._path(name))

    def delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def rename(self, name: str, new: str) -> None:
        try:
            self._path(name).rename(self._path(new))
        except FileNotFoundError:
            raise _missing(self, name) from None

    def _path(self, name: str) -> Path:
        return self.root / _checked(name)

    def _walk(self) -> Iterator[tuple[str, int]]:
        for folder, _, files in os.walk(self.root):
            for file in files:
                path = Path(folder, file)
                if not file.startswith("."):  # a scratch file of an atomic write
                    try:
                        yield path.relative_to(self.root).as_posix(), path.stat().st_size
                    except FileNotFoundError:
                        continue  # deleted by another process since the folder was read


class S3Store(Store):
    """An S3 object appears whole when its upload ends, so every put is atomic by nature."""

    def __init__(self, location: str) -> None:
        super().__init__(location.rstrip("/"))
        parts = urlsplit(location)
        self.bucket, self.prefix = parts.netloc, parts.path.strip("/")
        if not self.bucket:
            raise ValueError(f"location = {location!r}: names no bucket; must look like s3://bucket/prefix")
        self._client: Any = None

    @property
    def client(self) -> Any:
        if self._client is None:
            self._client = _s3_client()
        return self._client

    def listing(self, prefix: str = "") -> dict[str, int]:
        root = f"{self.prefix}/" if self.prefix else ""

        def read() -> dict[str, int]:
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=root + prefix)
            found = [
                (entry["Key"].removeprefix(root), entry["Size"]) for page in pages for entry in page.get("Contents", [])
            ]
            return dict(sorted((name, size) for name, size in found if name and not name.endswith("/")))

        return self._call(read, prefix)

    def exists(self, name: str) -> bool:
        from botocore.exceptions import ClientError

        def head() -> bool:
            try:
                self.client.head_object(Bucket=self.bucket, Key=self._key(name))
            except ClientError as error:
                if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NotFound"):
                    return False
                raise
            return True

        return self._call(head, name)

    def get(self, name: str) -> bytes:
        def read() -> bytes:
            return bytes(self.client.get_object(Bucket=self.bucket, Key=self._key(name))["Body"].read())

        return self._call(read, name)

    def put(self, name: str, data: bytes) -> None:
        self._call(lambda: self.client.put_object(Bucket=self.bucket, Key=self._key(name), Body=data), name)

    def create(self, name: str, data: bytes) -> bool:
        from botocore.exceptions import ClientError

        def put() -> bool:
            try:
                self.client.put_object(Bucket=self.bucket, Key=self._key(name), Body=data, IfNoneMatch="*")
            except ClientError as error:
                # 409: somebody else is writing the same name at this moment.
                if error.response["Error"]["Code"] in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
                    return False
                raise
            return True

        return self._call(put, name)

    def download(self, name: str, path: Path) -> None:
        with atomic_path(path) as scratch:
            self._call(lambda: self.client.download_file(self.bucket, self._key(name), str(scratch)), name)

    def upload(self, name: str, path: Path) -> None:
        self._call(lambda: self.client.upload_file(str(path), self.bucket, self._key(name)), name)

    def rename(self, name: str, new: str) -> None:
        """S3 has no rename: a copy within the server, then a delete."""
        source = {"Bucket": self.bucket, "Key": self._key(name)}
        self._call(lambda: self.client.copy(source, self.bucket, self._key(new)), name)
        self.delete(name)

    def delete(self, name: str) -> None:
        self._call(lambda: self.client.delete_object(Bucket=self.bucket, Key=self._key(name)), name)

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{_checked(name)}" if self.prefix else _checked(name)

    def _call(self, act: Callable[[], T], name: str) -> T:
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return act()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("NoSuchKey", "404", "NotFound"):
                raise _missing(self, name) from None
            kind = StoreRefusedError if code == "AccessDenied" else StepError
            raise kind(f"{self.location}/{name}: S3 answered {code}; {_REMEDIES.get(code, _ANY_REMEDY)}") from error
        except (BotoCoreError, S3UploadFailedError) as error:
            raise StepError(f"{self.location}/{name}: {error}; {_ANY_REMEDY}") from error


_ANY_REMEDY = "check AWS_ENDPOINT_URL, the credentials (AWS_ACCESS_KEY_ID or AWS_PROFILE) and that the server runs"
_REMEDIES = {
    "NoSuchBucket": "make the bucket, or name another one",
    "AccessDenied": "the credentials may not do this: grant them the bucket, or use others",
    "SignatureDoesNotMatch": "the secret key is wrong: check AWS_SECRET_ACCESS_KEY",
    "InvalidAccessKeyId": "the access key is unknown to this server: check AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL",
}


def _s3_client() -> Any:
    import boto3
    from botocore.config import Config

    session = boto3.session.Session()
    region = session.region_name or "us-east-1"

    def connect(style: str) -> Any:
        # Newer checksum trailers are refused by many S3-compatible servers: send them where they are required only.
        config = Config(
            s3={"addressing_style": style},
            retries={"mode": "standard"},
            connect_timeout=10,
            read_timeout=60,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return session.client("s3", region_name=region, config=config)

    client = connect("auto")
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    # Buckets as host names need wildcard DNS, which self-hosted servers rarely have.
    return client if host.endswith((".amazonaws.com", ".amazonaws.com.cn")) else connect("path")


def _checked(name: str) -> str:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"name = {name!r}: must be a relative path that stays inside the store")
    return name


def _missing(store: Store, name: str) -> MissingBlobError:
    return MissingBlobError(f"{store.location}/{name} does not exist: check the name, or run the step that writes it")


def _copy(source: Path, target: Path) -> None:
    import shutil

    with atomic_path(target) as scratch:
        shutil.copyfile(source, scratch)
