"""How a candidate is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluateConfig:
    pass
