"""Errors that a person can act on."""


class StepError(Exception):
    """A step cannot go on, for a reason outside the code: bad data, a missing file, a server that does not answer.

    The message states the problem and what to do about it; it is shown without a traceback.
    """
