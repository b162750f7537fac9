"""What a candidate must show before a person looks at it."""

from dataclasses import dataclass
from typing import Literal, get_args

from model.checks import at_least, between, one_of

Comparison = Literal["non-inferior", "superior"]
Unit = Literal["users", "rows"]
DataStatus = Literal["clean", "warned", "quarantined"]
Unreadable = Literal["fail", "absolute-only"]


@dataclass(frozen=True)
class GatePolicy:
    # Absolute rules, which hold for the first model too
    minimum_rows: int = 1000  # rows on which the candidate must have been measured
    auc_floor: float = 0.6  # smallest AUC
    calibration_ceiling: float = 0.05  # largest expected calibration error
    data: DataStatus = "quarantined"  # worst result of the validation with which a candidate still passes
    baseline_margin: float = 0.0  # AUC that the candidate must surely have above the item's click rate

    # Against the champion
    comparison: Comparison = "non-inferior"  # `non-inferior`: at most delta worse than the champion; `superior`: better
    delta: float = 0.005  # AUC that a non-inferior candidate may lose
    alpha: float = 0.05  # one-sided error probability of every test
    unit: Unit = "users"  # what the tests treat as independent; rows of one user are not
    slice_epsilon: float = 0.02  # AUC that a slice may lose
    unreadable_champion: Unreadable = "fail"  # if the champion can't be scored: fail, or check the absolute rules only

    def __post_init__(self) -> None:
        at_least("gate.minimum_rows", self.minimum_rows, 0)
        for field in ("auc_floor", "calibration_ceiling", "slice_epsilon"):
            between(f"gate.{field}", getattr(self, field), 0.0, 1.0)
        between("gate.baseline_margin", self.baseline_margin, -1.0, 1.0)
        between("gate.delta", self.delta, 0.0, 0.5)
        between("gate.alpha", self.alpha, 1e-6, 0.5)
        one_of("gate.data", self.data, get_args(DataStatus))
        one_of("gate.comparison", self.comparison, get_args(Comparison))
        one_of("gate.unit", self.unit, get_args(Unit))
        one_of("gate.unreadable_champion", self.unreadable_champion, get_args(Unreadable))
