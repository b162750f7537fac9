"""Seconds that each metric takes on a million rows: `python -m benchmarks.metrics`. The best of five, one thread."""

import time
from collections.abc import Callable

import numpy as np

from model import metrics

ROWS = 1_000_000


def seconds(call: Callable[[], object], repeats: int = 5) -> float:
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken)


def main() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, ROWS)
    first = rng.normal(size=ROWS) + labels
    second = first + rng.normal(size=ROWS)
    users = rng.integers(0, ROWS // 20, ROWS)
    probabilities = 1 / (1 + np.exp(-first))
    calls: dict[str, Callable[[], object]] = {
        "AUC": lambda: metrics.auc(labels, first),
        "AUC of coarse scores, all tied": lambda: metrics.auc(labels, np.round(first, 1)),
        "grouped AUC, 50,000 groups": lambda: metrics.grouped_auc(labels, first, users),
        "AUC with DeLong's interval": lambda: metrics.auc_interval(labels, first),
        "paired DeLong": lambda: metrics.paired_delong(labels, first, second),
        "log loss": lambda: metrics.log_loss(labels, probabilities),
        "expected calibration error": lambda: metrics.expected_calibration_error(labels, probabilities),
    }
    for name, call in calls.items():
        print(f"{name:32} {seconds(call):.3f} s")


if __name__ == "__main__":
    main()
