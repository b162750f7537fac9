"""The report shows the numbers of metrics.json, and loads nothing from the network."""

import copy
import re
from typing import Any

import pytest

from components.gate.config import GatePolicy
from components.gate.verdict import decide
from components.report.evidence import Evidence
from components.report.page import forest_view, lookup, render
from tests.measured import World, checked_data, diagnosed, measured, unreadable_champion
from tests.page_reader import Reader
from tests.traces import traces

BETTER = measured()
FIRST = measured(World(champion_noise=None))
WORSE = measured(World(candidate_noise=1.4, champion_noise=0.4))
EQUAL = measured(World(candidate_noise=0.7, champion_noise=0.7, seed=2))
STRANGERS = measured(World(rows_a_user=1))  # nobody has rows to be compared within
UNREADABLE = unreadable_champion(BETTER, "its file is <b>truncated</b>")
A_LITTLE_WORSE = copy.deepcopy(BETTER)
A_LITTLE_WORSE["comparison"]["users"] |= {"value": -0.003, "error": 0.0005, "low": -0.004, "high": -0.002}
CASES = {
    "better": BETTER,
    "first": FIRST,
    "worse": WORSE,
    "equal": EQUAL,
    "strangers": STRANGERS,
    "unreadable": UNREADABLE,
}


def page_of(metrics: dict[str, Any], policy: GatePolicy | None = None, **changes: Any) -> str:
    evidence = Evidence(**{**traces().__dict__, **changes})
    return render(metrics, decide(metrics, evidence.validation, policy or GatePolicy()), evidence)


@pytest.mark.parametrize("name", CASES)
def test_every_number_shown_is_one_of_metrics_json(name: str) -> None:
    reader = Reader(page_of(CASES[name]))
    assert len(reader.numbers) > 40
    for path, value, shown in reader.numbers:
        truth = lookup(CASES[name], path)
        assert value == ("" if truth is None else repr(truth)), path
        digits = re.sub(r"[^0-9.−-]", "", shown).replace("−", "-")
        if truth is not None and digits and "than" not in shown:
            scale = 100 if shown.endswith(("%", "pts")) else 1
            assert float(digits.lstrip("±")) == pytest.approx(truth * scale, abs=0.6 * 10 ** -_places(digits)), path


def _places(digits: str) -> int:
    return len(digits.partition(".")[2])


def test_a_start_from_the_champion_is_told_with_its_rows() -> None:
    summary = {
        **traces().summary,
        "start": {"from": "champion", "parent": "3", "chain": 2, "why": "train.start is champion"},
        "rows": {"train": 1_500, "new": 1_000, "replayed": 500, "left_out": 9_000, "valid": 10},
    }
    text = " ".join(Reader(page_of(BETTER, summary=summary)).text)
    assert (
        "It started from champion version 3 and learned from the 1,000 rows newer than it and 500 older ones." in text
    )
    assert "champion version 3; starts from a champion in a row: 2" in text
    curves = {**traces().curves, "champion": [{"valid_auc": 0.9, "valid_log_loss": 0.4}]}
    text = " ".join(Reader(page_of(BETTER, summary=summary, curves=curves)).text)
    assert "6 passes over these rows; the champion's own weights were kept, with AUC 0.9000 on valid." in text
    untimed = {**summary, "rows": {"train": 1_500, "valid": 10}}
    assert "and learned from all 1,500 rows." in " ".join(Reader(page_of(BETTER, summary=untimed)).text)


def test_a_start_from_scratch_is_told_with_its_reason() -> None:
    summary = {**traces().summary, "start": {"from": "scratch", "parent": None, "chain": 0, "why": "the chain ended"}}
    assert "random weights: the chain ended" in " ".join(Reader(page_of(BETTER, summary=summary)).text)


def test_signs_of_trouble_stand_out_with_their_advice() -> None:
    text = " ".join(" ".join(Reader(page_of(BETTER)).text).split())
    assert "1 of 7 signs of a training that went wrong was found. They are advice" in text
    assert "Signs of trouble: “Content lowers the AUC”. Read below what they mean before you decide." in text
    assert "What to do: Check that content and items belong together" in text
    calm = {**BETTER, "diagnosis": diagnosed(content_change=-0.02)}
    text = " ".join(" ".join(Reader(page_of(calm)).text).split())
    assert "None of 7 signs of a training that went wrong was found. They are advice" in text
    assert "What to do" not in text
    assert "Read below what they mean" not in text


def test_a_sign_stops_no_candidate() -> None:
    calm = {**BETTER, "diagnosis": diagnosed(content_change=-0.02)}
    verdicts = [decide(metrics, checked_data(), GatePolicy()) for metrics in (BETTER, calm)]
    assert verdicts[0] == verdicts[1]


def test_the_numbers_that_matter_are_there() -> None:
    paths = {path for path, _, _ in Reader(page_of(BETTER)).numbers}
    cards = [
        f"{card}.{name}"
        for card in ("candidate", "champion.scores")
        for name in ("auc.value", "grouped_auc.value", "log_loss", "calibration_error", "operating_point.precision")
    ]
    rest = [
        "rows",
        "users",
        "items",
        "left_out_rows",
        "oracle.auc",
        "comparison.users.value",
        "comparison.rows.value",
        "baselines.item_click_rate.auc.value",
        "baselines.history_blind.auc.value",
    ]
    slices = [f"slices.{n}.difference.value" for n, part in enumerate(BETTER["slices"]) if part["measured"]]
    assert {*cards, *rest, *slices} <= paths


@pytest.mark.parametrize(
    ("metrics", "policy", "title", "sentence"),
    [
        (BETTER, None, "Better than champion version 3", "The model is surely better"),
        (EQUAL, GatePolicy(delta=0.05), "No worse than champion version 3", "Neither model is shown to be better"),
        (
            A_LITTLE_WORSE,
            None,
            "A little worse than champion version 3, within the allowed margin",
            "The model is surely a little worse, but within the allowed margin",
        ),
        (FIRST, None, "The first model: good enough to serve", "nothing could be compared"),
        (FIRST, GatePolicy(auc_floor=0.99), "Not good enough to serve", "the floor is 0.9900"),
        (WORSE, None, "Should not replace the champion", "rules of the policy failed"),
        (UNREADABLE, None, "Should not replace the champion", "could not score this data"),
        (UNREADABLE, GatePolicy(unreadable_champion="absolute-only"), "not compared with the champion", "lets pass"),
    ],
    ids=["better", "equal", "a little worse", "first", "first refused", "worse", "unreadable", "unreadable let pass"],
)
def test_the_verdict_stands_first_in_words(
    metrics: dict[str, Any], policy: GatePolicy | None, title: str, sentence: str
) -> None:
    text = " ".join(" ".join(Reader(page_of(metrics, policy)).text).split())
    assert title in text[:300]
    assert sentence in text[:1000]


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_fetched_and_nothing_runs(name: str) -> None:
    page = page_of(CASES[name])
    reader = Reader(page)
    assert "default-src 'none'" in page
    assert not {tag for tag, _ in reader.attributes} & {"script", "iframe", "object", "embed", "form"}
    for tag, attributes in reader.attributes:
        for attribute in ("src", "href", "srcset", "action"):
            assert str(attributes.get(attribute) or "data:").startswith("data:"), tag
        assert not any(key.startswith("on") for key in attributes)
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_what_others_wrote_is_shown_as_text() -> None:
    page = page_of(UNREADABLE, lineage=traces().lineage | {"revision": "<script>alert(1)</script>"})
    assert "<script" not in page
    assert "<b>truncated" not in page
    assert "&lt;b&gt;truncated" in page


def test_pictures_have_words_and_tables_have_heads() -> None:
    reader = Reader(page_of(BETTER))
    for tag, attributes in reader.attributes:
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
        if tag == "th":
            assert attributes.get("scope")
    headings = [tag for tag, _ in reader.attributes if tag in ("h1", "h2", "h3")]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    identities = [str(a["id"]) for _, a in reader.attributes if "id" in a]
    assert len(identities) == len(set(identities))


def test_every_rule_is_listed_with_its_outcome() -> None:
    verdict = decide(WORSE, checked_data(), GatePolicy())
    rows = [a for tag, a in Reader(page_of(WORSE)).attributes if tag == "tr" and "data-rule" in a]
    assert [(a["data-rule"], a["data-passed"]) for a in rows] == [
        (rule["name"], str(rule["passed"]).lower()) for rule in verdict["rules"]
    ]


def test_a_failed_data_check_is_told_and_a_held_one_folded_away() -> None:
    page = page_of(BETTER, validation=checked_data("warned"))
    assert "Expected that likes levels are as before (PSI), but it is 0.3. It would mislead." in page
    assert "1 checks that hold" in page
    assert "Drift since the champion" not in page  # the only drift rule is among the concerns
    assert "Drift since the champion" in page_of(BETTER)


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        (BETTER, "a gain this large with probability less than 0.0001"),
        (WORSE, "a loss this large with probability less than 0.0001"),
    ],
    ids=["better", "worse"],
)
def test_chance_is_described_in_the_right_direction(metrics: dict[str, Any], sentence: str) -> None:
    assert sentence in page_of(metrics)


def test_content_is_named_by_where_it_came_from() -> None:
    page = page_of(BETTER)
    assert "300 items were made from the vectors in the data for image and the encoder minilm for text" in page
    assert "2 items had no usable image" in page
    assert "Why: truncated image (2)." in page
    untroubled: dict[str, Any] = {"imputed_counts": {}, "bad_input": {"causes": {}}}
    existing = traces().manifest | {"source": "existing", "encoders": {}} | untroubled
    assert "300 items came with the data" in page_of(BETTER, manifest=existing)


def test_slices_too_small_are_said_to_be() -> None:
    assert "too few rows or clicks to measure" in page_of(BETTER)


def test_a_training_of_one_epoch_shows_its_steps() -> None:
    curves = traces().curves
    one = {"epochs": curves["epochs"][:1], "steps": [{"step": s, "train_loss": 0.6 - s / 100} for s in range(9)]}
    page = page_of(BETTER, curves=one)
    assert "1 pass over train" in page
    assert "within the single epoch" in page
    assert "left no curves" in page_of(BETTER, curves={"epochs": [], "steps": []})


def test_the_header_says_which_model_of_which_day_and_data() -> None:
    text = " ".join(" ".join(Reader(page_of(BETTER)).text).split())
    assert (
        "Candidate of 28 November 2026 · preset best · data revision main (3f9c2ab66e1b) · compared with champion "
        "version 3 · measured on"
    ) in text


def test_a_candidate_that_passed_is_followed_by_the_command_that_approves_it() -> None:
    assert "mmctr review show --run 2041" in page_of(BETTER)
    assert "mmctr review approve --run 2041 --by" in page_of(BETTER)
    assert "mmctr review approve" not in page_of(WORSE)


def test_a_rule_that_does_not_apply_is_not_shown_as_passed() -> None:
    page = page_of(FIRST)
    row = page.partition('data-rule="non_inferiority"')[2].partition("</tr>")[0]
    assert "n/a" in row
    assert 'aria-label="does not apply"' in row


@pytest.mark.parametrize("error", [0.0005, 0.003])
def test_the_bar_of_a_slice_ends_at_the_bound_that_is_tested(error: float) -> None:
    """A slice that fails lies left of the dashed line with its whole bar, one that passes does not."""
    metrics = copy.deepcopy(BETTER)
    index = next(n for n, part in enumerate(metrics["slices"]) if part["measured"])
    metrics["slices"][index]["difference"] |= {"value": -0.0253, "error": error}
    verdict = decide(metrics, checked_data(), GatePolicy())
    rule = next(rule for rule in verdict["rules"] if rule["name"] == "no_slice_worse")
    picture = forest_view(metrics, verdict)["groups"][1]["lines"][index]["picture"]
    limit = float(re.findall(r'class="limit" x1="([0-9.]+)%', picture)[0])
    low, high = map(float, re.findall(r'class="reach worse" x1="([0-9.]+)%" x2="([0-9.]+)%', picture)[0])
    assert low < high
    assert (high < limit) == (not rule["passed"])


@pytest.mark.parametrize(
    ("calibration", "sentence"),
    [
        (
            {"method": "platt", "negatives_kept": 1.0},
            "corrected by a line through its logits (Platt), fitted on valid.",
        ),
        (
            {"method": "isotonic", "negatives_kept": 0.25},
            "The data keep 25.0% of the non-clicks (train.negatives_kept).",
        ),
        ({"method": "none", "negatives_kept": 1.0}, "so it has none."),
    ],
)
def test_the_reliability_curve_says_how_the_rates_were_corrected(calibration: dict[str, Any], sentence: str) -> None:
    assert sentence in page_of(BETTER | {"calibration": calibration})
    assert "fitted on valid" not in page_of(BETTER | {"calibration": None})
