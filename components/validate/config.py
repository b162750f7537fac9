"""What good data is, as a policy: each limit can be set by a run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ValidatePolicy:
    pass
