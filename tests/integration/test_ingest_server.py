"""The S3 server that other tests use: it tells accounts apart, and keeps its data when it is killed."""

import pytest
from botocore.exceptions import ClientError

from tests.services.s3 import S3Server, make_identity

pytestmark = pytest.mark.integration


def test_who_may_do_what(s3: S3Server, bucket: str) -> None:
    s3.client().put_object(Bucket=bucket, Key="k", Body=b"v")
    assert s3.client(s3.reader).get_object(Bucket=bucket, Key="k")["Body"].read() == b"v"
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.client(s3.reader).put_object(Bucket=bucket, Key="k", Body=b"other")
    with pytest.raises(ClientError, match=r"403|InvalidAccessKeyId"):
        s3.client(make_identity("stranger")).get_object(Bucket=bucket, Key="k")


def test_it_survives_a_power_cut(s3: S3Server, bucket: str) -> None:
    s3.client().put_object(Bucket=bucket, Key="k", Body=b"v")
    s3.kill()
    s3.start()
    assert s3.client().get_object(Bucket=bucket, Key="k")["Body"].read() == b"v"
