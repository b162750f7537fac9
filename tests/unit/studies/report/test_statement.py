"""Sentences say what the numbers say: the verdict, the difference, its interval and p, and never more."""

from typing import Any

import pytest

from studies.statement import statement
from studies.table import markdown_table
from tests.study_results import STUDIES, results

Json = dict[str, Any]


def compared(*verdicts: str, study: str = "levels") -> Json:
    """Arms a, b, c ... compared with `base`, with differences that suit the verdicts."""
    sizes = {"better": 0.01, "worse": -0.02, "inconclusive": 0.001}
    names = ["a", "b", "c", "d", "e", "f", "g", "h"][: len(verdicts)]
    found = results(study)
    found["arms"] = [
        {
            **found["arms"][0],
            "name": name,
            "paper": None,
            "factors": {},
            "auc": {"mean": 0.8 + d, "sd": 0.001, "low": 0.79 + d, "high": 0.81 + d, "by_seed": [0.8 + d] * 3},
        }
        for name, d in [("base", 0.0), *((n, sizes[v]) for n, v in zip(names, verdicts, strict=True))]
    ]
    found["comparisons"] = [
        {
            "arm": name,
            "against": "base",
            "difference": sizes[verdict],
            "low": sizes[verdict] - 0.004,
            "high": sizes[verdict] + 0.004,
            "p": 0.001,
            "p_holm": 0.5 if verdict == "inconclusive" else 0.00001,
            "verdict": verdict,
        }
        for name, verdict in zip(names, verdicts, strict=True)
    ]
    found.update(reference="base", views=[])
    found["data"]["rows"]["used"] = found["data"]["rows"]["train"]
    return found


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        (
            "better",
            "“a” is better than “base”: AUC 0.8100 against 0.8000, +0.0100 (95% +0.0060 to +0.0140, Holm p < 0.0001).",
        ),
        (
            "worse",
            "“a” is worse than “base”: AUC 0.7800 against 0.8000, −0.0200 (95% −0.0240 to −0.0160, Holm p < 0.0001).",
        ),
        (
            "inconclusive",
            "Whether “a” is better or worse than “base” is inconclusive: AUC 0.8010 against 0.8000, "
            "+0.0010 (95% −0.0030 to +0.0050, Holm p 0.5000).",
        ),
    ],
)
def test_one_comparison_is_one_sentence(verdict: str, sentence: str) -> None:
    assert statement(compared(verdict)) == [sentence]


def test_a_family_is_counted_and_its_arms_named() -> None:
    sentences = statement(compared("better", "worse", "inconclusive", "better"))
    assert sentences[0] == "Of 4 arms compared with “base”: 2 better, 1 worse, 1 inconclusive."
    assert sentences[1].startswith("Better than “base”: “a” +0.0100 (95% +0.0060 to +0.0140, Holm p < 0.0001); “d”")
    assert sentences[2].startswith("Worse than “base”: “b” −0.0200")
    assert sentences[3].startswith("Inconclusive, chance could explain the difference: “c” +0.0010 (95% −0.0030")
    assert len(sentences) == 4


def test_the_highest_mean_is_not_called_better_when_chance_could_explain_it() -> None:
    sentences = statement(compared("inconclusive", "worse"))
    assert sentences[0] == "Of 2 arms compared with “base”: 0 better, 1 worse, 1 inconclusive."
    assert not any(sentence.startswith("Better") for sentence in sentences)
    assert any(sentence.startswith("Inconclusive") and "“a” +0.0010" in sentence for sentence in sentences)


def test_of_many_alike_the_middle_ones_have_no_interval() -> None:
    sentences = statement(compared(*["better"] * 7))
    assert sentences[1].count("95%") == 2
    assert all(f"“{name}”" in sentences[1] for name in "abcdefg")


def test_families_are_told_one_arm_they_are_against_at_a_time() -> None:
    told = " ".join(statement(results("ablation")))
    assert "Of 7 arms compared with “full”" in told
    assert "Of 3 arms compared with “k = 16”" in told
    assert "“din” is better than “din - no content”" in told


def test_mask_is_explained_and_told_by_length_of_history() -> None:
    found = results("mask")
    told = statement(found)
    assert told[0].startswith("“inverted” is worse than “right”: AUC 0.79")
    assert any("it sees the newest item only" in sentence for sentence in told)
    right, inverted = (arm["slices"]["history"][1]["auc"] for arm in found["arms"])
    gap = f"{inverted - right:+.4f}".replace("-", "−")
    assert any(f"not tested: {gap} at 1-4 items (812 rows)" in sentence for sentence in told)


@pytest.mark.parametrize(
    ("verdict", "difference", "sentence"),
    [
        (
            "better",
            0.006,
            "Content as the paper joins it hurts DIN: “din - no content” is better than “din raw linear”",
        ),
        ("worse", -0.006, "Content as the paper joins it helps DIN: “din - no content” is worse than “din raw linear”"),
        ("inconclusive", 0.0, "Whether content as the paper joins it hurts DIN is inconclusive"),
    ],
)
def test_alignment_says_whether_content_hurts_din(verdict: str, difference: float, sentence: str) -> None:
    found = results("alignment")
    own = next(c for c in found["comparisons"] if c["arm"] == "din - no content")
    own.update(verdict=verdict, difference=difference)
    assert sentence in " ".join(statement(found))


def test_alignment_names_what_mends_and_admits_when_nothing_does() -> None:
    found = results("alignment")
    told = " ".join(statement(found))
    assert "Better than “din - no content”: “din rmsnorm gated-mlp” +" in told
    for comparison in found["comparisons"]:
        comparison["verdict"] = "inconclusive"
    told = " ".join(statement(found))
    assert "No norm or map of content is shown to be better than “din - no content”: the highest is “din" in told
    assert "none of 11 is worse" in told
    assert "Better than" not in told


def test_alignment_without_the_arms_that_the_question_needs_is_told_as_any_study() -> None:
    assert statement(compared("better", study="alignment"))[0].startswith("“a” is better than “base”")


def test_ablation_compares_the_papers_differences_with_ours() -> None:
    found = results("ablation")
    areas = {arm["name"]: arm["auc"]["mean"] for arm in found["arms"]}
    step = f"{areas['din'] - areas['full']:+.4f}".replace("-", "−")
    told = " ".join(statement(found))
    assert f"Differences to “full”: “din” {step} here, −0.1199 in the paper" in told
    assert "The paper measured on other data." in told


def test_longer_histories_are_told_with_what_they_cost() -> None:
    found = results("sequence-length")
    found["arms"][0]["seconds"], found["arms"][-1]["seconds"] = 50.0, 425.0
    told = " ".join(statement(found))
    assert "training takes 8.5 times as long" in told
    assert (
        "oldest quarter of what is read, last layer, first seed: “10” 20.0% (even attention: 25.8%); “20” 15.0%" in told
    )


def test_items_are_told_without_a_claim_of_significance() -> None:
    found = results("guidance")
    by_arm = {arm["name"]: arm["slices"]["items"][0]["auc"] for arm in found["arms"]}
    best = max(by_arm, key=lambda name: float(by_arm[name]))
    told = " ".join(statement(found))
    assert f"not tested: on unseen items (402 rows) “{best}” {by_arm[best]:.4f}" in told


def test_attention_says_that_padding_got_nothing_only_when_it_did() -> None:
    found = results("target-concat")
    clean = "On the 2,000 rows looked at, no head of any layer attends to padding: its weight is exactly 0."
    assert clean in statement(found)
    found["arms"][0]["attention"]["largest_on_padding"] = 1e-9
    assert clean not in statement(found)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"seeds": [1]},
            "Every comparison is called inconclusive because the study has one seed: another start of the same "
            "training could turn a difference round. Run it with --seeds 3 or more.",
        ),
        ({"failed": [{"arm": "a", "seed": 1, "message": ""}]}, "1 training failed and is not in these numbers."),
        (
            {"failed": [{"arm": "a", "seed": s, "message": ""} for s in (1, 2)]},
            "2 trainings failed and are not in these numbers.",
        ),
    ],
    ids=["one seed", "one failure", "two failures"],
)
def test_limits_are_told_last(changes: Json, sentence: str) -> None:
    assert statement({**compared("better"), **changes})[-1] == sentence


def test_fewer_rows_than_there_are_is_said() -> None:
    assert statement(results("mask"))[-1] == "Learned from 40,000 of 80,000 train rows; more may change the order."
    assert not any("Learned from" in sentence for sentence in statement(results("mask", used=80_000)))


def test_nothing_compared_and_nothing_finished_are_said() -> None:
    alone = compared()
    assert statement(alone) == ["Nothing was compared. “base” has an AUC of 0.8000."]
    alone["arms"][0]["auc"] = None
    assert statement(alone) == ["No training has finished: nothing was found yet."]


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("seeds", [1, 3])
def test_every_sentence_ends_and_no_gap_shows(study: str, seeds: int) -> None:
    for sentence in statement(results(study, seeds=seeds)):
        assert sentence.endswith(".")
        assert not {"None", "nan", "{", "–)"} & set(sentence.split())
        assert "None%" not in sentence


def test_the_table_has_a_line_for_each_arm_and_each_further_comparison() -> None:
    found = compared("better", "inconclusive")
    found["arms"][1]["name"] = found["comparisons"][0]["arm"] = "a|b"
    found["comparisons"].append({**found["comparisons"][1], "against": "a|b"})
    found["arms"][0].update(parameters=123456, seconds=300.0)
    lines = markdown_table(found)
    assert lines[2] == "| base | 0.8000 ± 0.0010 [0.7900, 0.8100] | reference |  |  | 123,456 | 5 min |"
    assert lines[3].startswith(
        "| a\\|b | 0.8100 ± 0.0010 [0.8000, 0.8200] | +0.0100 [+0.0060, +0.0140] | < 0.0001 | better |"
    )
    assert lines[-1] == "| b | a\\|b | +0.0010 [−0.0030, +0.0050] | 0.5000 | inconclusive |"
    assert len({line.count("|") - 2 * line.count("\\|") for line in lines[:5]}) <= 2


def test_the_table_names_the_arm_a_difference_is_against_where_it_is_not_the_reference() -> None:
    table = "\n".join(markdown_table(results("alignment")))
    assert "better than din raw linear" in table
    assert "inconclusive against din raw linear" in table
    assert "| 0.8577 |" in "\n".join(markdown_table(results("ablation")))
