"""What one check found."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "unchecked", "warning", "error"]  # unchecked: there is nothing here to check, and why


@dataclass(frozen=True)
class Finding:
    subject: str
    level: Level
    found: str
    remedy: str = ""
