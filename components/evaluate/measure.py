"""Candidate, champion and baselines on the same rows, as the one dictionary that `metrics.json` holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.evaluate.config import EvaluateConfig
from components.evaluate.slices import Slice, measure_slice
from components.statistics.auc import Floats, Ints, aucs_of_users
from components.statistics.bootstrap import Bootstrap, bootstrap_users
from components.statistics.calibration import expected_calibration_error, log_loss, reliability_curve
from components.statistics.intervals import auc_by_row, difference_by_row, difference_by_user, p_better, wilson

ROC_POINTS = 100  # of a curve: enough for a picture


@dataclass(frozen=True)
class Scored:
    """The rows that are measured. `known` marks those whose item the champion's own table holds."""

    labels: Ints
    users: Ints
    items: Ints
    candidate: Floats
    champion: Floats | None = None
    known: np.ndarray[Any, np.dtype[np.bool_]] | None = None


def measure(
    scored: Scored, baselines: Mapping[str, Floats], slices: Sequence[Slice], config: EvaluateConfig
) -> dict[str, Any]:
    labels, users = scored.labels, scored.users
    scores = [scored.candidate] if scored.champion is None else [scored.candidate, scored.champion]
    bootstrap = bootstrap_users(labels, scores, users, config.bootstrap_samples, config.seed)
    report: dict[str, Any] = {
        "rows": len(labels),
        "clicks": int(labels.sum()),
        "users": bootstrap.users,
        "items": len(np.unique(scored.items)),
        "confidence": config.confidence,
        "candidate": scorecard(labels, users, scored.candidate, bootstrap, 0, config),
        "baselines": {name: _baseline(scored, score, config) for name, score in baselines.items()},
        "slices": [
            measure_slice(s, labels, users, scored.candidate, scored.champion, config)
            for s in slices
            if 0 < s.mask.sum() < len(labels)
        ],
        "roc": {
            name: roc_points(labels, score) for name, score in [("candidate", scored.candidate), *baselines.items()]
        },
        "champion_scores": None,
        "comparison": None,
    }
    if scored.champion is not None:
        report["champion_scores"] = scorecard(labels, users, scored.champion, bootstrap, 1, config)
        report["comparison"] = _compare(scored, scored.champion, bootstrap, config)
        report["roc"]["champion"] = roc_points(labels, scored.champion)
    return dict(finite(report))


def scorecard(
    labels: Ints, users: Ints, scores: Floats, bootstrap: Bootstrap, model: int, config: EvaluateConfig
) -> dict[str, Any]:
    """All measures of one model by itself."""
    rate = float(labels.mean())
    loss = log_loss(labels, scores)
    guess = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    own = aucs_of_users(labels, scores, users)
    grouped = own.mean
    return {
        "auc": auc_by_row(labels, scores, config.confidence).as_json(),
        "grouped_auc": None
        if grouped is None
        else {**bootstrap.grouped_estimate(grouped, model, config.confidence).as_json(), "users": len(own.aucs)},
        "log_loss": loss,
        "log_loss_gain": 1 - loss / float(guess),
        "calibration_error": expected_calibration_error(labels, scores, config.calibration_bins),
        "mean_score": float(scores.mean()),
        "click_rate": rate,
        "operating_point": operating_point(labels, scores, config.operating_share, config.confidence),
        "reliability": _reliability(labels, scores, config),
    }


def operating_point(labels: Ints, scores: Floats, share: float, confidence: float) -> dict[str, float]:
    """What showing only the best scored `share` of rows would give. Rows tied at the threshold count in part."""
    shown = max(1, round(share * len(scores)))
    threshold = float(np.partition(scores, len(scores) - shown)[len(scores) - shown])
    above, tied = scores > threshold, scores == threshold
    clicks = float(labels[above].sum() + (shown - above.sum()) * labels[tied].mean())
    low, high = wilson(clicks, shown, confidence)
    return {
        "share": share,
        "rows": shown,
        "threshold": threshold,
        "precision": clicks / shown,
        "low": low,
        "high": high,
        "others": int((labels == 0).sum()),
        "recall": clicks / float(labels.sum()),
        "lift": clicks / shown / float(labels.mean()),
    }


def roc_points(labels: Ints, scores: Floats) -> list[list[float]]:
    """(share of non-clicks, share of clicks) above each threshold, thinned to as many points as an eye
    can distinguish.
    """
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])
    found = np.r_[0.0, np.cumsum(labels[order])[last_of_tie]]
    wrong = np.r_[0.0, last_of_tie + 1 - found[1:]]
    x, y = wrong / wrong[-1], found / found[-1]
    length = np.r_[0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))]
    keep = np.unique(np.searchsorted(length, np.linspace(0, length[-1], ROC_POINTS)).clip(0, len(x) - 1))
    return [[round(float(x[i]), 5), round(float(y[i]), 5)] for i in keep]


def _reliability(labels: Ints, scores: Floats, config: EvaluateConfig) -> list[dict[str, float]]:
    curve = reliability_curve(labels, scores, config.calibration_bins)
    bins = []
    for predicted, observed, rows in zip(curve.predicted, curve.observed, curve.count, strict=True):
        low, high = wilson(float(observed * rows), int(rows), config.confidence)
        bins.append(
            {"predicted": float(predicted), "observed": float(observed), "rows": int(rows), "low": low, "high": high}
        )
    return bins


def _baseline(scored: Scored, score: Floats, config: EvaluateConfig) -> dict[str, Any]:
    difference = difference_by_user(scored.labels, scored.candidate, score, scored.users, config.confidence)
    return {
        "auc": auc_by_row(scored.labels, score, config.confidence).as_json(),
        "log_loss": log_loss(scored.labels, score),
        "difference": {**difference.as_json(), "p_better": p_better(difference.value, difference.error)},
    }


def _compare(scored: Scored, champion: Floats, bootstrap: Bootstrap, config: EvaluateConfig) -> dict[str, Any]:
    labels, candidate = scored.labels, scored.candidate
    by_rows = difference_by_row(labels, candidate, champion, config.confidence)
    by_users = bootstrap.difference(by_rows.value, 0, 1, config.confidence)
    report = {
        "rows": {**by_rows.as_json(), "p_better": p_better(by_rows.value, by_rows.error)},
        "users": {
            **by_users.as_json(),
            "p_better": p_better(by_users.value, by_users.error),
            "samples": config.bootstrap_samples,
        },
        "log_loss": log_loss(labels, candidate) - log_loss(labels, champion),
        "grouped": None,
        "known_items": None,
    }
    ours, theirs = (aucs_of_users(labels, score, scored.users).mean for score in (candidate, champion))
    if ours is not None and theirs is not None:
        report["grouped"] = bootstrap.grouped_difference(ours - theirs, 0, 1, config.confidence).as_json()
    if scored.known is not None:
        kept = scored.known
        clicks = int(labels[kept].sum())
        report["known_share"] = float(kept.mean())
        if min(clicks, int(kept.sum()) - clicks) >= config.slice_class_rows:
            report["known_items"] = difference_by_user(
                labels[kept], candidate[kept], champion[kept], scored.users[kept], config.confidence
            ).as_json()
    return report


def finite(value: Any) -> Any:
    """JSON knows no infinity: what is unbounded is null."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
