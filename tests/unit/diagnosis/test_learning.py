"""The interval between two splits, the sentence about early stopping, and the draw of whole users."""

import numpy as np
import pytest

from components.diagnosis.diagnose import whole_users
from components.diagnosis.finding import surely_above
from components.diagnosis.learning import Rows, early_stopping, learning_findings
from components.statistics.auc import auc
from components.statistics.intervals import auc_by_user, difference_by_user

CURVES = [
    {"epoch": 0, "train_loss": 0.6, "valid_auc": 0.7},
    {"epoch": 1, "train_loss": 0.5, "valid_auc": 0.72},
    {"epoch": 2, "train_loss": 0.4, "valid_auc": 0.71},
]


def rows(seed: int, noise: float = 1.0, users: int = 400, first_user: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 4 * users)
    return Rows(labels, labels + noise * rng.normal(size=len(labels)), first_user + np.arange(len(labels)) // 4)


def lower_bound(valid: Rows, test: Rows) -> float:
    (gap, _) = learning_findings(valid, test, "test", CURVES)
    assert gap.observed is not None
    return gap.observed


def test_splits_without_a_common_user_are_independent() -> None:
    valid, test = rows(1), rows(2, noise=1.3, users=700, first_user=10_000)
    first, second = (auc_by_user(part.labels, part.scores, part.users, 0.95).error for part in (valid, test))
    gap = auc(valid.labels, valid.scores) - auc(test.labels, test.scores)
    assert lower_bound(valid, test) == pytest.approx(surely_above(gap, (first**2 + second**2) ** 0.5), abs=1e-4)


def test_splits_of_the_same_users_are_paired() -> None:
    valid = rows(1)
    other = Rows(valid.labels, valid.scores + 0.3 * np.random.default_rng(3).normal(size=1600), valid.users)
    paired = difference_by_user(valid.labels, valid.scores, other.scores, valid.users, 0.95)
    assert lower_bound(valid, other) == pytest.approx(surely_above(paired.value, paired.error), abs=1e-9)
    apart = Rows(other.labels, other.scores, other.users + 10_000)
    assert lower_bound(valid, other) > lower_bound(valid, apart) + 0.01


def test_one_user_says_nothing_of_chance() -> None:
    alone = Rows(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.6, 0.5]), np.zeros(4, np.int64))
    found = learning_findings(alone, alone, "test", CURVES)
    assert [finding.observed for finding in found] == [None, None]
    assert not any(finding.warns for finding in found)


@pytest.mark.parametrize(
    ("curves", "said"),
    [
        (CURVES, "Early stopping kept epoch 2 of 3, with AUC 0.7200 on valid; the last had 0.7100."),
        (CURVES[:2], "Early stopping kept the last of 2 epochs, so valid had not begun to fall."),
        ([], "The training left no curves."),
    ],
    ids=["fell", "still rising", "none"],
)
def test_early_stopping_in_a_sentence(curves: list[dict[str, float]], said: str) -> None:
    assert early_stopping(curves) == said
    assert said in learning_findings(rows(1), rows(2), "test", curves)[0].sentence


def test_the_measured_half_of_valid_is_not_called_test() -> None:
    title = learning_findings(rows(1), rows(2), "valid", CURVES)[0].title
    assert title == "The half of valid that is measured is below valid by more than chance"


def test_whole_users_are_drawn() -> None:
    users = np.repeat(np.arange(100), 7)[np.random.default_rng(1).permutation(700)]
    labels = np.arange(700) % 2
    drawn = whole_users(users, labels, 100)
    assert 90 < len(drawn) <= 100
    assert (np.diff(drawn) > 0).all()
    assert set(np.flatnonzero(np.isin(users, users[drawn]))) == set(drawn.tolist())
    assert len(whole_users(users, labels, 700)) == 700


def test_all_rows_are_taken_where_a_draw_has_one_kind_of_label() -> None:
    users, labels = np.arange(1000), np.zeros(1000, np.int64)
    labels[17] = 1
    assert len(whole_users(users, labels, 50)) == 1000
