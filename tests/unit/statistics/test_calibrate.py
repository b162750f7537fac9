"""Scores that are too sure, bent, or from a log without most non-clicks become rates that hold on other rows."""

import numpy as np
import pytest
from scipy.special import expit, logit

from components.statistics.auc import Floats, Ints, auc
from components.statistics.calibrate import calibrated, corrected, given
from components.statistics.calibration import expected_calibration_error
from model.calibration import LogitMap

TRUE_LOGIT = {
    "as they are": lambda x: x,
    "too sure": lambda x: 0.5 * x + 0.8,
    "bent": lambda x: np.where(x > 0, 0.2 * x, 2 * x),
}


def drawn(case: str, rows: int, seed: int) -> tuple[Ints, Floats, Ints]:
    """Labels, a ranker's logits, and users of four rows each."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 2, rows)
    clicked = rng.random(rows) < expit(TRUE_LOGIT[case](logits))
    return clicked.astype(np.int64), logits, np.arange(rows) // 4


@pytest.mark.parametrize(("case", "method"), [("as they are", "none"), ("too sure", "platt"), ("bent", "isotonic")])
def test_the_method_that_fits_is_found_and_the_rates_hold_on_other_rows(case: str, method: str) -> None:
    found, losses = calibrated(*drawn(case, 20_000, seed=1), "auto")
    assert found.method == method == min(losses, key=lambda name: losses[name])
    labels, logits, _ = drawn(case, 100_000, seed=2)
    assert expected_calibration_error(labels, expit(given(found, logits))) < 0.01
    if case != "as they are":
        assert expected_calibration_error(labels, expit(logits)) > 0.1
    assert auc(labels, given(found, logits)) == pytest.approx(auc(labels, logits), abs=1e-12), "the order stays"


def test_losses_are_those_of_users_that_a_map_did_not_see() -> None:
    """Each user's rows share one logit and one label: a map that saw them would predict them exactly."""
    rng = np.random.default_rng(3)
    labels, logits = np.repeat(rng.integers(0, 2, 300), 50), np.repeat(rng.normal(0, 2, 300), 50)
    users = np.repeat(np.arange(300), 50)
    _, losses = calibrated(labels, logits, users, "auto")
    seen, _ = calibrated(labels, logits, users, "isotonic")
    guess = np.log(2)
    assert losses["isotonic"] > guess - 0.01
    rates = expit(given(seen, logits))
    assert -np.mean(np.log(np.where(labels == 1, rates, 1 - rates))) < losses["isotonic"]


@pytest.mark.parametrize("method", ["none", "platt", "isotonic"])
def test_a_named_method_is_used_whatever_the_losses_say(method: str) -> None:
    assert calibrated(*drawn("too sure", 2000, seed=4), method)[0].method == method


def test_one_user_alone_is_not_compared_and_nothing_is_changed() -> None:
    labels, logits, users = drawn("too sure", 400, seed=5)
    found, losses = calibrated(labels, logits, np.zeros_like(users), "auto")
    assert found == LogitMap()
    assert list(losses) == ["none"]


def test_a_ranker_that_orders_rows_wrongly_keeps_its_order() -> None:
    """A map may not turn a ranking round, even where that would predict better."""
    labels, logits, users = drawn("as they are", 5000, seed=6)
    for method in ("platt", "isotonic"):
        found, _ = calibrated(labels, -logits, users, method)
        assert auc(labels, given(found, -logits)) == pytest.approx(auc(labels, -logits), abs=1e-12)


@pytest.mark.parametrize("kept", [0.25, 0.02])
def test_rates_of_the_whole_population_from_a_log_that_kept_some_non_clicks(kept: float) -> None:
    labels, logits, users = drawn("too sure", 400_000, seed=7)
    rng = np.random.default_rng(8)
    kept_rows = (labels == 1) | (rng.random(len(labels)) < kept)
    found, _ = calibrated(labels[kept_rows], logits[kept_rows], users[kept_rows], "auto")
    whole, whole_logits, _ = drawn("too sure", 200_000, seed=9)
    rates = expit(given(corrected(found, kept), whole_logits))
    assert expected_calibration_error(whole, rates) < 0.01
    assert expected_calibration_error(whole, expit(given(found, whole_logits))) > 0.1, "without the correction"


def test_isotonic_needs_few_rows_and_gives_no_certainty() -> None:
    labels, logits = np.array([0, 0, 0, 1]), np.array([-3.0, -1.0, 0.0, 2.0])
    found, _ = calibrated(labels, logits, np.arange(4), "isotonic")
    assert np.array(found.knots) == pytest.approx(np.array([[-0.5, logit(0.25)]]))
    perfect, _ = calibrated(np.repeat([0, 1], 200), np.linspace(-4, 4, 400), np.arange(400), "isotonic")
    assert np.isfinite(np.array(perfect.knots)).all()
