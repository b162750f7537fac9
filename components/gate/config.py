"""What a candidate must show before a person looks at it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GatePolicy:
    pass
