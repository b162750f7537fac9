"""What a message may not show: the password of an address, or the signature in its query."""

import pytest

from components.errors import StepError, one_line, redacted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ada:se:cr@t@mlflow.example.org:5000/x@y", "https://mlflow.example.org:5000/x@y"),
        ("postgresql+psycopg2://mmctr:pw@db/mlflow", "postgresql+psycopg2://db/mlflow"),
        (
            "403 for https://s3.example.org/a?X-Amz-Signature=5a#top, 'ssh://git@example.org/b?key=c'",
            "403 for https://s3.example.org/a#top, 'ssh://example.org/b'",
        ),
        ("is https://mlflow.example.org/ right? is 5?", "is https://mlflow.example.org/ right? is 5?"),
        ("https://mlflow.example.org and ada@example.org", "https://mlflow.example.org and ada@example.org"),
        ("sqlite:////home/ada/.mmctr/mlflow.db", "sqlite:////home/ada/.mmctr/mlflow.db"),
    ],
)
def test_an_address_is_shown_without_its_account(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert str(StepError(text)) == shown
    assert one_line(ValueError(text)) == shown
