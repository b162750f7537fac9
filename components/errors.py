"""Errors that a person can act on, without the passwords that an address may hold."""

import re


class StepError(Exception):
    """A step cannot go on, for a reason outside the code: bad data, a missing file, a server that does not answer.

    The message states the problem and what to do about it; it is shown without a traceback.
    """

    def __str__(self) -> str:
        return redacted(super().__str__())


def one_line(error: BaseException) -> str:
    """What an error says, fit for a log line or a sentence; its type when it says nothing."""
    return redacted(" ".join(str(error).split())) or type(error).__name__


def redacted(text: str) -> str:
    """The text without user, password and query of any address in it: they may be secrets. The rest still opens."""
    return _QUERY.sub(r"\1", _ACCOUNT.sub("", text))


_ACCOUNT = re.compile(r"(?<=://)[^\s/?#]+@")
_QUERY = re.compile(r"(://[^\s?#]+)\?[^\s#'\"<>)]+")
