"""Errors that a person can act on."""


class StepError(Exception):
    """A step cannot go on, for a reason outside the code: bad data, a missing file, a server that does not answer.

    The message states the problem and what to do about it; it is shown without a traceback.
    """


def one_line(error: BaseException) -> str:
    """What an error says, fit for a log line or a sentence; its type when it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
