"""How a candidate is measured."""

from dataclasses import dataclass

from model.checks import at_least, between


@dataclass(frozen=True)
class EvaluateConfig:
    batch_size: int = 4096  # rows scored together
    confidence: float = 0.95  # of every confidence interval
    bootstrap_samples: int = 400  # random draws of users from which the intervals are computed
    seed: int = 1  # of the bootstrap and of the baseline that is trained for comparison
    calibration_bins: int = 15  # groups of rows with similar scores, in which predicted and true rates are compared
    operating_share: float = 0.1  # share of rows, the best scored, at which precision and recall are computed

    # Slices
    slice_rows: int = 200  # a slice with fewer rows is listed but not measured
    slice_class_rows: int = 20  # clicks, and also non-clicks, that a slice needs to be measured
    history_edges: tuple[int, ...] = (1, 5, 10, 20, 50)  # history lengths at which a new slice begins
    top_tags: int = 8  # number of most frequent tags that get a slice

    # Baselines
    ctr_smoothing: float = 20.0  # an item's click rate starts at the mean rate, as if seen in this many rows
    baseline_rows: int = 200_000  # at most this many training rows are used for the baseline without history

    def __post_init__(self) -> None:
        for field in ("batch_size", "slice_rows", "slice_class_rows", "calibration_bins"):
            at_least(f"evaluate.{field}", getattr(self, field), 2)
        between("evaluate.confidence", self.confidence, 0.5, 0.9999)
        at_least("evaluate.bootstrap_samples", self.bootstrap_samples, 100)
        at_least("evaluate.baseline_rows", self.baseline_rows, 100)
        for field in ("seed", "top_tags"):
            at_least(f"evaluate.{field}", getattr(self, field), 0)
        at_least("evaluate.ctr_smoothing", self.ctr_smoothing, 1e-6)
        between("evaluate.operating_share", self.operating_share, 1e-4, 1.0)
        if list(self.history_edges) != sorted(set(self.history_edges)) or any(e < 1 for e in self.history_edges):
            raise ValueError(f"evaluate.history_edges = {self.history_edges!r}: must rise, from 1 on")
