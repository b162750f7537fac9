"""Every number of metrics.json against scikit-learn, against all pairs, or against users that are drawn by hand."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import log_loss, roc_auc_score

from components.evaluate.config import EvaluateConfig
from components.evaluate.measure import Scored, finite, measure, operating_point, roc_points
from components.evaluate.slices import Slice, measure_slice

CONFIG = EvaluateConfig(bootstrap_samples=100, slice_rows=20, slice_class_rows=5, calibration_bins=5, seed=3)
USERS = 40


def rows(copies: int = 1) -> Any:
    """Users of one to six rows. With more copies each row comes so often, always by its own user."""
    random = np.random.default_rng(7)
    users = np.repeat(np.arange(USERS), 1 + np.arange(USERS) % 6)
    taste = random.normal(size=USERS)[users] + random.normal(size=len(users))
    labels = (random.random(len(users)) < 1 / (1 + np.exp(0.5 - taste))).astype(np.int64)
    candidate, champion = (1 / (1 + np.exp(-taste - noise * random.normal(size=len(users)))) for noise in (0.5, 1.5))
    columns = (labels, 10 * users, np.arange(len(users)) % 17, candidate, champion, np.arange(len(users)) % 17 < 12)
    repeated: list[Any] = [np.repeat(column, copies) for column in columns]
    return Scored(*repeated)


def of(scored: Scored, config: EvaluateConfig = CONFIG) -> Any:
    half = np.arange(len(scored.labels)) % 4 < 2
    baselines = {"item_click_rate": np.sort(scored.candidate)}
    slices = [Slice("half", "one", half), Slice("all", "no part", half | True), Slice("none", "empty", half & False)]
    return measure(scored, baselines, slices, config)


@pytest.fixture(scope="module")
def metrics() -> Any:
    return of(rows())


def area(labels: Any, score: Any) -> float:
    """The AUC by a count over all pairs."""
    above = score[labels == 1][:, None] - score[labels == 0][None, :]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def redraws(scored: Scored) -> Any:
    """(samples, models) of AUC and grouped AUC, from tables whose rows are really copied once for each draw."""
    assert scored.champion is not None
    random, scores = np.random.default_rng(CONFIG.seed), (scored.candidate, scored.champion)
    rows_of = [np.flatnonzero(scored.users == 10 * user) for user in range(USERS)]
    mixed = [user for user, own in enumerate(rows_of) if 0 < scored.labels[own].mean() < 1]
    areas = {user: [area(scored.labels[rows_of[user]], score[rows_of[user]]) for score in scores] for user in mixed}
    found = []
    for _ in range(CONFIG.bootstrap_samples):
        drawn = random.integers(USERS, size=USERS)
        every = np.concatenate([rows_of[user] for user in drawn])
        both = [user for user in drawn if user in areas]
        grouped = np.average([areas[user] for user in both], axis=0, weights=[len(rows_of[user]) for user in both])
        found.append((*(area(scored.labels[every], score[every]) for score in scores), *grouped))
    return np.array(found)


def test_the_bootstrap_draws_whole_users(metrics: Any) -> None:
    drawn = redraws(rows())
    ours = {
        "users": (metrics["comparison"]["users"], drawn[:, 0] - drawn[:, 1]),
        "grouped": (metrics["comparison"]["grouped"], drawn[:, 2] - drawn[:, 3]),
        "candidate's grouped AUC": (metrics["candidate"]["grouped_auc"], drawn[:, 2]),
        "champion's grouped AUC": (metrics["champion_scores"]["grouped_auc"], drawn[:, 3]),
    }
    for name, (found, samples) in ours.items():
        assert found["error"] == pytest.approx(np.sqrt(samples.var() * 100 / 99), abs=1e-9), name
        ordered = np.sort(samples)
        assert found["low"] == pytest.approx(ordered[2] + 0.475 * (ordered[3] - ordered[2]), abs=1e-9), name
        assert found["high"] == pytest.approx(ordered[96] + 0.525 * (ordered[97] - ordered[96]), abs=1e-9), name


def test_copies_of_a_users_rows_are_no_evidence_by_users_and_are_taken_for_it_by_rows(metrics: Any) -> None:
    """Four copies of each row are the same users: nothing that counts users may become surer by them."""
    copied = of(rows(copies=4))
    by_users = [
        *(("comparison", name) for name in ("users", "grouped", "known_items")),
        *((model, "grouped_auc") for model in ("candidate", "champion_scores")),
        ("baselines", "item_click_rate", "difference"),
    ]
    for path in by_users:
        once, often = metrics, copied
        for key in path:
            once, often = once[key], often[key]
        assert often["error"] == pytest.approx(once["error"], rel=1e-6), path
    for path in [("comparison", "rows"), ("candidate", "auc"), ("champion_scores", "auc")]:
        once, often = (found[path[0]][path[1]]["error"] for found in (metrics, copied))
        assert often == pytest.approx(once / 2, rel=0.03), path


def error_in_the_slice_of_common_items(scored: Scored, name: str) -> float:
    common = Slice("items", "common", scored.items < 12)
    measured = measure_slice(common, scored.labels, scored.users, scored.candidate, scored.champion, CONFIG)
    error: float = measured[name]["error"]
    return error


def test_a_slice_counts_users_too() -> None:
    for name in ("candidate", "champion", "difference"):
        once, often = (error_in_the_slice_of_common_items(scored, name) for scored in (rows(), rows(copies=4)))
        assert often == pytest.approx(once, rel=1e-9), name


def test_each_card_says_what_scikit_learn_says(metrics: Any) -> None:
    scored = rows()
    rate = scored.labels.mean()
    guessing = log_loss(scored.labels, np.full(len(scored.labels), rate))
    for card, score in ((metrics["candidate"], scored.candidate), (metrics["champion_scores"], scored.champion)):
        assert card["auc"]["value"] == pytest.approx(roc_auc_score(scored.labels, score))
        assert card["log_loss"] == pytest.approx(log_loss(scored.labels, score))
        assert card["log_loss_gain"] == pytest.approx(1 - log_loss(scored.labels, score) / guessing)
        shown = np.argsort(-score)[: round(0.1 * len(score))]
        assert card["operating_point"]["precision"] == pytest.approx(scored.labels[shown].mean())
        assert card["mean_score"] == pytest.approx(score.mean())
        assert card["click_rate"] == pytest.approx(rate)
        bins = np.digitize(score, [0.2, 0.4, 0.6, 0.8])
        used = np.unique(bins)
        gaps = [abs(score[bins == b].mean() - scored.labels[bins == b].mean()) for b in used]
        assert card["calibration_error"] == pytest.approx(np.average(gaps, weights=[(bins == b).sum() for b in used]))
        assert [row["rows"] for row in card["reliability"]] == [(bins == b).sum() for b in used]
        for row in card["reliability"]:
            clicks = round(row["observed"] * row["rows"])
            wilson = binomtest(clicks, row["rows"]).proportion_ci(0.95, method="wilson")
            assert (row["low"], row["high"]) == pytest.approx((wilson.low, wilson.high), abs=1e-9)
    mixed = sum(0 < scored.labels[scored.users == user].mean() < 1 for user in np.unique(scored.users))
    assert metrics["candidate"]["grouped_auc"]["users"] == mixed


def test_counts_and_comparison_are_of_all_rows(metrics: Any) -> None:
    scored = rows()
    assert scored.champion is not None
    assert scored.known is not None
    assert [metrics[name] for name in ("rows", "clicks")] == [len(scored.labels), scored.labels.sum()]
    assert [metrics[name] for name in ("users", "items", "confidence")] == [USERS, 17, 0.95]
    gain = roc_auc_score(scored.labels, scored.candidate) - roc_auc_score(scored.labels, scored.champion)
    for unit in ("rows", "users"):
        found = metrics["comparison"][unit]
        assert found["value"] == pytest.approx(gain)
        assert found["p_better"] == pytest.approx(1 - norm.cdf(found["value"] / found["error"])), "one-sided"
    assert metrics["comparison"]["users"]["samples"] == 100
    assert metrics["comparison"]["log_loss"] == pytest.approx(
        log_loss(scored.labels, scored.candidate) - log_loss(scored.labels, scored.champion)
    )
    kept = scored.known
    assert metrics["comparison"]["known_share"] == pytest.approx(kept.mean())
    assert metrics["comparison"]["known_items"]["value"] == pytest.approx(
        roc_auc_score(scored.labels[kept], scored.candidate[kept])
        - roc_auc_score(scored.labels[kept], scored.champion[kept])
    )
    baseline, score = metrics["baselines"]["item_click_rate"], np.sort(scored.candidate)
    assert baseline["auc"]["value"] == pytest.approx(roc_auc_score(scored.labels, score))
    assert baseline["log_loss"] == pytest.approx(log_loss(scored.labels, score))
    assert baseline["difference"]["value"] == pytest.approx(
        roc_auc_score(scored.labels, scored.candidate) - baseline["auc"]["value"]
    )
    assert baseline["difference"]["p_better"] == pytest.approx(
        1 - norm.cdf(baseline["difference"]["value"] / baseline["difference"]["error"])
    )


def test_slices_that_hold_no_row_or_every_row_are_left_out(metrics: Any) -> None:
    assert [part["name"] for part in metrics["slices"]] == ["one"]


def test_curves_are_those_of_candidate_champion_and_baselines(metrics: Any) -> None:
    scored = rows()
    areas = {name: np.trapezoid(*np.array(points).T[::-1]) for name, points in metrics["roc"].items()}
    assert areas == pytest.approx(
        {
            "candidate": roc_auc_score(scored.labels, scored.candidate),
            "champion": roc_auc_score(scored.labels, scored.champion),
            "item_click_rate": roc_auc_score(scored.labels, np.sort(scored.candidate)),
        },
        abs=0.02,
    )


def test_a_curve_that_needs_no_thinning_is_drawn_point_by_point() -> None:
    """0.9 and 0.7 are clicks, 0.5 is one of each, 0.2 is none."""
    points = roc_points(np.array([1, 1, 0, 1, 0]), np.array([0.9, 0.7, 0.5, 0.5, 0.2]))
    assert points == [[0, 0], [0, 0.33333], [0, 0.66667], [0.5, 1], [1, 1]]


@pytest.mark.parametrize(
    ("clicks", "others", "measured"),
    [(5, 15, True), (15, 5, True), (4, 16, False), (16, 4, False), (10, 10, True), (10, 9, False)],
)
def test_a_slice_is_measured_from_exactly_its_limits_on(clicks: int, others: int, measured: bool) -> None:
    labels = np.r_[np.ones(clicks), np.zeros(others), [0, 1]].astype(np.int64)
    inside = np.arange(len(labels)) < clicks + others
    scores = np.random.default_rng(0).random(len(labels))
    report = measure_slice(Slice("a", "b", inside), labels, np.arange(len(labels)), scores, None, CONFIG)
    assert (report["measured"], report["rows"], report["clicks"]) == (measured, clicks + others, clicks)
    assert (report["candidate"] is not None) is measured
    assert report["champion"] is report["difference"] is None


@pytest.mark.parametrize(("clicks", "others", "measured"), [(5, 9, True), (9, 5, True), (4, 9, False), (9, 4, False)])
def test_known_items_are_compared_from_their_limit_on(clicks: int, others: int, measured: bool) -> None:
    labels = np.r_[np.ones(clicks), np.zeros(others), np.arange(40) % 2].astype(np.int64)
    random, count = np.random.default_rng(1), len(labels)
    known = np.arange(count) < clicks + others
    scored = Scored(labels, np.arange(count) // 2, np.arange(count), random.random(count), random.random(count), known)
    comparison = measure(scored, {}, [], CONFIG)["comparison"]
    assert (comparison["known_items"] is not None) is measured
    assert comparison["known_share"] == (clicks + others) / count


def test_the_operating_point_counts_what_is_shown() -> None:
    labels = np.array([1, 0, 1, 1, 0, 0, 0, 0, 1, 0])
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1])
    point = operating_point(labels, scores, 0.3, 0.9)
    wilson = binomtest(2, 3).proportion_ci(0.9, method="wilson")
    shown = {"share": 0.3, "rows": 3, "threshold": 0.7, "precision": 2 / 3, "low": wilson.low, "high": wilson.high}
    assert point == pytest.approx({**shown, "others": 6, "recall": 2 / 4, "lift": (2 / 3) / 0.4})
    assert operating_point(labels, scores, 1e-4, 0.9)["rows"] == 1, "at least one row is shown"


def test_infinite_numbers_are_written_as_null() -> None:
    assert finite({"a": [1.0, float("inf"), (float("nan"), "x")], "b": {"c": -float("inf"), "d": None}, "e": 2}) == {
        "a": [1.0, None, [None, "x"]],
        "b": {"c": None, "d": None},
        "e": 2,
    }
