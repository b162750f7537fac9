"""Which encoders see an item, and how their vectors become one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EmbedConfig:
    dimension: int = 128
