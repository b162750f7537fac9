"""The signs of failure that are looked for in every run, on rows of valid, which chose the epoch that was kept.

It must stay cheap, about a tenth of an evaluation, so it reads a sample of valid. Whole users are drawn, because every
interval is by user.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from components.batches.rows import RowStore
from components.batches.scoring import score
from components.diagnosis.attention import attention_figures, chosen_rows
from components.diagnosis.attention_signs import ITEMS, attention_findings
from components.diagnosis.inputs import input_findings, worth
from components.diagnosis.learning import Rows, learning_findings
from components.diagnosis.neutral import CONTENT, neutral, parts_of, recording
from components.statistics.auc import Floats, Ints, auc_influence
from components.statistics.intervals import error_by_user
from model.ranker import Ranker

Json = dict[str, Any]
FEWEST, MOST, SHARE = 2_500, 10_000, 10  # rows of valid: a tenth of the rows measured, within these bounds
CONTENT_ROWS = 1_500
FEATURE_ROWS = 500  # for each feature: enough to see that it carries everything
ATTENTION_ROWS = 200


def diagnose(
    ranker: Ranker, valid: RowStore, measured: Rows, split: str, curves: Sequence[Json], device: torch.device
) -> Json:
    """`findings`, and under `figures` what they rest on. `measured` holds the rows of `split`, scored by the ranker."""
    users, labels = np.asarray(valid.user, dtype=np.int64), valid.label.astype(np.int64)

    def scores(rows: Ints) -> Floats:
        return score(ranker, valid, device=device, which=rows)

    chosen = whole_users(users, labels, min(MOST, max(FEWEST, len(measured.labels) // SHARE)))
    entries = parts_of(ranker)
    with recording([part for parts in entries.values() for part in parts]) as means:
        rows = Rows(labels[chosen], scores(chosen), users[chosen])
    without = {}
    for name, parts in entries.items():
        limit = CONTENT_ROWS if name == CONTENT else FEATURE_ROWS
        some = whole_users(users[chosen], labels[chosen], limit)
        with neutral(parts, means):
            without[name] = worth(rows.at(some), scores(chosen[some]))
    attention = attention_figures(ranker, valid, chosen_rows(valid, ATTENTION_ROWS, ITEMS))
    area, influence = auc_influence(rows.labels, rows.scores)
    findings = [
        *learning_findings(rows, measured, split, curves),
        *input_findings(without),
        *attention_findings(attention),
    ]
    return {
        "rows": len(chosen),
        "findings": [asdict(finding) for finding in findings],
        "figures": {
            "valid": {"auc": area, "error": error_by_user(influence, rows.users)},
            "without": without,
            "attention": attention,
        },
    }


def whole_users(users: Ints, labels: Ints, limit: int) -> Ints:
    """Row numbers, ascending: of all users, or of as many drawn ones as have no more than `limit` rows together.

    All rows as well where the drawn users' labels are all alike, because no AUC could be measured on them.
    """
    everything = np.arange(len(users))
    if len(users) <= limit:
        return everything
    _, index, counts = np.unique(users, return_inverse=True, return_counts=True)
    order = np.random.default_rng(1).permutation(len(counts))
    kept = np.zeros(len(counts), dtype=bool)
    kept[order[: max(1, int((np.cumsum(counts[order]) <= limit).sum()))]] = True
    drawn = np.flatnonzero(kept[index])
    return drawn if labels[drawn].min() < labels[drawn].max() else everything
