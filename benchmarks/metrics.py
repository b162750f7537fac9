"""Seconds that each metric takes on a million rows: `python -m benchmarks.metrics`. The best of five, one thread."""

import time
from collections.abc import Callable

import numpy as np

from components.statistics import auc, calibration, intervals

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
        "AUC": lambda: auc.auc(labels, first),
        "AUC of coarse scores, all tied": lambda: auc.auc(labels, np.round(first, 1)),
        "grouped AUC, 50,000 groups": lambda: auc.aucs_of_users(labels, first, users),
        "AUC with DeLong's interval": lambda: intervals.auc_by_row(labels, first, 0.95),
        "paired DeLong": lambda: intervals.difference_by_row(labels, first, second, 0.95),
        "log loss": lambda: calibration.log_loss(labels, probabilities),
        "expected calibration error": lambda: calibration.expected_calibration_error(labels, probabilities),
    }
    for name, call in calls.items():
        print(f"{name:32} {seconds(call):.3f} s")


if __name__ == "__main__":
    main()
