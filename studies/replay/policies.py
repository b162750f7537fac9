"""What a policy of retraining does on a night. Its name says it: `never`, `cold nightly`, `drift 0.2` …"""

import re
from dataclasses import dataclass
from typing import Literal

Action = Literal["cold", "warm", "ask drift", "nothing"]

WEEK = 7  # nights
_EVERY = {"nightly": 1, "weekly": WEEK}
_PART = re.compile(r"(cold|warm) (nightly|weekly)|drift (\d*\.?\d+)")
ALLOWED = (
    "never, cold or warm with nightly or weekly, drift NUMBER (such as drift 0.5), or several of these joined by +"
)
DEFAULT = "never, cold weekly, cold nightly, warm nightly"


@dataclass(frozen=True)
class Policy:
    """Without any field a model is trained once and serves for ever."""

    name: str
    cold: int = 0  # nights from one training from scratch to the next; 0: there is no next
    warm: int = (
        0  # nights from one training that starts from the champion to the next, where no training from scratch is due
    )
    drift: float = 0.0  # trains from scratch if a feature's PSI against the champion's training data is above; 0: never

    @property
    def trainings(self) -> float:
        """How often it trains, a night: what is known of it beforehand."""
        return sum(1 / every for every in (self.cold, self.warm) if every)

    def action(self, night: int, has_champion: bool) -> Action:
        """Nights count from 0. Without a champion every policy trains: something has to serve."""
        if not has_champion or (self.cold and night % self.cold == 0):
            return "cold"
        if self.warm and night % self.warm == 0:
            return "warm"
        return "ask drift" if self.drift else "nothing"


def parse_policies(text: str) -> tuple[Policy, ...]:
    names = [" ".join(name.split()) for name in text.split(",") if name.strip()]
    if not names:
        raise ValueError(f"--policies {text!r}: must name at least one of {ALLOWED}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"--policies: {twice[0]!r} is there twice")
    return tuple(parse_policy(name) for name in names)


def parse_policy(name: str) -> Policy:
    if name == "never":
        return Policy(name)
    fields: dict[str, int | float] = {}
    for part in name.split("+"):
        found = _PART.fullmatch(part.strip())
        if found is None:
            raise ValueError(f"--policies: {name!r} is no policy; must be {ALLOWED}")
        start, every, drift = found.groups()
        field, value = ("drift", float(drift)) if drift else (start, _EVERY[every])
        if field in fields or not value:
            raise ValueError(f"--policies: {name!r}: {part.strip()!r} can't be; each part once, and a drift above 0")
        fields[field] = value
    return Policy(name, **fields)  # type: ignore[arg-type]
