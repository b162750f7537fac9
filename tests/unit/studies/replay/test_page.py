"""What the page of a replay says, from results of all kinds: also of nights that came to nothing."""

import re
from typing import Any

import pytest

from components.report.page import lookup
from studies.replay.report import render
from studies.replay.statement import aged, cautions, gate_sentence, truth_lines
from tests.replay_results import estimate, results


def _nothing_served() -> dict[str, Any]:
    found = results(truth=False)
    for policy in found["policies"]:
        policy |= {"auc": None, "difference": None, "items": []}
        for night in policy["nights"]:
            night |= {"auc": None, "gain": None, "serves_from": None}
            for field in ("log_loss", "calibration_error", "by_chance"):
                del night[field]
    found["advice"] = {"use": None, "best": None, "alike": 0.002, "frontier": [], "sentence": "No day has an AUC yet."}
    found["ageing"] = {"points": [], "by_age": [], "loss_a_day": None}
    return found


@pytest.mark.parametrize("found", [results(), results(nights=1), _nothing_served()], ids=["whole", "one-night", "none"])
def test_every_number_of_the_page_is_that_of_results_json(found: dict[str, Any]) -> None:
    page = render(found)
    shown = re.findall(r'data-metric="([^"]+)" value="([^"]*)"', page)
    assert shown
    for path, value in shown:
        exact = lookup(found, path)
        assert value == ("" if exact is None else repr(exact))
    assert found["advice"]["sentence"] in page


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.001, 0.002, "A model loses 0.00150 AUC a day"),
        (-0.001, 0.002, "Whether a model ages is not shown"),
        (-0.002, -0.001, "Older models served better than fresh ones"),
    ],
)
def test_ageing_is_claimed_only_if_the_interval_says_so(low: float, high: float, said: str) -> None:
    found = results()
    found["ageing"]["loss_a_day"] = {"value": abs(low + high) / 2, "low": low, "high": high, "days": 9}
    assert aged(found).startswith(said)


def test_what_the_gate_did_is_counted() -> None:
    found = results()
    told = gate_sentence(found)
    trained = sum(policy["trained"] for policy in found["policies"])
    assert told.startswith(f"Of {trained} candidates the gate refused 1: 0 would have served surely worse")
    assert "1 surely better" in told
    assert told.endswith("stopped 1 night before there was a candidate.")


@pytest.mark.parametrize(
    ("best", "said"),
    [
        ("cold nightly", "The best policy is “cold nightly”. The replay found it."),
        ("never", "The replay advises “cold nightly” instead."),
        ("warm nightly", "knowledge of the same night is the same."),
        ("warm monthly", "The best policy is “warm monthly”, which was not replayed."),
    ],
)
def test_the_truth_is_held_against_the_advice(best: str, said: str) -> None:
    found = results()
    found["truth"]["best"] = best
    assert truth_lines(found)[-1].endswith(said)


def test_what_is_missing_is_said() -> None:
    found = results()
    assert cautions(found) == []
    found["policies"][0]["nights"].pop()
    found["policies"][1]["nights"][0]["auc"] = None
    found["failed"] = [{"policy": "drift 0.5", "message": "its memory was full"}]
    told = " ".join(cautions(found))
    assert "Not all nights are finished for never" in told
    assert "drift 0.5 failed: its memory was full" in told
    assert "On some days cold nightly had no model in service" in told


def test_a_stopped_night_and_a_good_refusal_are_told_apart() -> None:
    found = results()
    found["gate"][0] |= {"gain": estimate(-0.01, 0.002), "judged": "right"}
    page = render(found)
    assert "<td>yes</td>" in page
    assert "there is nothing to compare" in page
