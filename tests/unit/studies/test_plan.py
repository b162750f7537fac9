"""What a study may look like, and what the studies that ship compare."""

from dataclasses import replace
from typing import Any

import pytest

import model.presets as rankers
from components.run_config import RunConfig
from model.config import ModelConfig
from pipelines.presets import preset
from studies.grids import STUDIES, study
from studies.plan import Arm, Study

BASE = preset("study")
ARMS = tuple(Arm(name, BASE) for name in ("a", "b", "c", "d"))


def made(**fields: Any) -> Study:
    return Study(**{"name": "s", "title": "t", "question": "q?", "arms": ARMS, "reference": "a", **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"reference": "x"}, "study.reference = 'x': must be one of 'a', 'b'", id="reference"),
        pytest.param({"arms": (*ARMS, ARMS[1])}, "'b' is there twice", id="twice"),
        pytest.param({"pairs": (("b", "x"),)}, "study.pairs = 'x': must be one of", id="pair"),
        pytest.param({"pairs": (("b", "b"),)}, "'b' is compared with itself", id="itself"),
        pytest.param({"pairs": (("a", "b"),)}, r"\['a', 'b'\] are compared twice", id="the-same-question-twice"),
        pytest.param({"views": ("plot",)}, "study.views = 'plot': must be one of 'history'", id="view"),
        pytest.param({"arms": (*ARMS, Arm("e", BASE, against="x"))}, "study.pairs = 'x'", id="against"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(**fields)


@pytest.mark.parametrize("name", ["", "a,b", "it's", "a/b"])
def test_names_that_no_command_could_carry_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"arm\.name = "):
        Arm(name, BASE)


def test_every_arm_meets_its_reference_first_and_the_pairs_follow() -> None:
    whole = made(arms=(*ARMS, Arm("e", BASE, against="b")), pairs=(("d", "c"),))
    assert whole.comparisons() == [("b", "a"), ("c", "a"), ("d", "a"), ("e", "b"), ("d", "c")]


def test_some_arms_bring_along_what_they_are_compared_with() -> None:
    whole = made(arms=(*ARMS, Arm("e", BASE, against="b")), pairs=(("d", "c"), ("e", "d")))
    assert whole.only(["e"]).arm_names == ("a", "b", "e")
    assert whole.only(["e", "d"]).comparisons() == [("b", "a"), ("d", "a"), ("e", "b"), ("e", "d")]
    with pytest.raises(ValueError, match=r"--arms = 'f': must be one of 'a', 'b'"):
        whole.only(["a", "f"])


def test_an_unknown_study_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"study = 'masks': must be one of .*ablation, mask, target-concat"):
        study("masks", BASE)


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("base", ["study", "paper", "sample"])
def test_the_studies_that_ship_are_whole_at_every_size(name: str, base: str) -> None:
    made = study(name, preset(base))
    assert made.name == name
    assert made.question.endswith("?")
    if base == "study":  # at the challenge's size the paper's own k is the full ranker
        assert len({repr(arm.config) for arm in made.arms}) == len(made.arms), "two arms are the same ranker"
    assert {arm.config.train.seed for arm in made.arms} == {1}
    assert {arm.config.train.batch_size for arm in made.arms} == {preset(base).train.batch_size}


def models(name: str) -> dict[str, ModelConfig]:
    return {arm.name: arm.config.model for arm in study(name, BASE).arms}


def test_each_declared_feature_is_left_out_and_is_alone() -> None:
    of_data = study("features", BASE, ["price", "a/b", "gap"])
    left_out = {arm.name: set(arm.config.model.left_out) for arm in of_data.arms}
    everything = {"price", "a/b", "gap"}
    assert left_out == {
        "all": set(),
        "none": everything,
        **{f"without {arm}": {name} for arm, name in (("price", "price"), ("a_b", "a/b"), ("gap", "gap"))},
        **{f"{arm} alone": everything - {name} for arm, name in (("price", "price"), ("a_b", "a/b"), ("gap", "gap"))},
    }
    assert ("without gap", "all") in of_data.comparisons()
    assert ("gap alone", "none") in of_data.comparisons()


def test_of_two_features_each_one_alone_is_trained_once() -> None:
    assert list(models("features")) == ["all", "none", "without likes_level", "without views_level"]
    assert ("without likes_level", "none") in study("features", BASE).comparisons()


def test_the_ablation_holds_the_papers_rows_and_figures() -> None:
    made, found = study("ablation", BASE), models("ablation")
    assert found["full"] == rankers.paper("small")
    assert found["din"] == rankers.din("small")
    assert found["without transformer"].interest == "mean"
    assert found["without cross"].cross == "none"
    assert all(found[f"{name} - no content"].content == () for name in ("din", "full"))
    papers = {arm.name: arm.paper for arm in made.arms if arm.paper}
    assert papers == {
        "full": 0.9776,
        "din": 0.8577,
        "din - no content": 0.9326,
        "without transformer": 0.9688,
        "without transformer - no content": 0.9741,
        "without cross": 0.9632,
    }
    by_k = [arm for arm in made.arms if "k" in arm.factors]
    assert [arm.config.model.last_k for arm in by_k] == [1, 4, 8, 16, 32]
    assert {arm.config.model.history_length for arm in by_k} == {32}
    assert ("k = 4", "k = 16") in made.comparisons()


def test_the_mask_and_the_target_differ_in_nothing_else() -> None:
    found = models("mask")
    assert replace(found["right"], mask="inverted") == found["inverted"]
    found = models("target-concat")
    assert replace(found["with"], target_concat=False) == found["without"]


def test_sequence_lengths() -> None:
    assert [made.history_length for made in models("sequence-length").values()] == [10, 20, 50, 100]


def test_alignment_is_a_full_grid_beside_a_bar_without_content() -> None:
    made = study("alignment", BASE)
    cells = {tuple(arm.factors.values()) for arm in made.arms}
    assert len(made.arms) == len(cells) == 2 * (4 * 3 + 1)
    assert models("alignment")["transformer raw linear"] == BASE.model
    asked = made.comparisons()
    for norm in ("raw", "standardise", "l2", "rmsnorm"):
        for kind in ("none", "linear", "gated-mlp"):
            name = f"din {norm} {kind}"
            against = {pair[1] for pair in asked if pair[0] == name} | {pair[0] for pair in asked if pair[1] == name}
            assert "din - no content" in against
            assert name == "din raw linear" or "din raw linear" in against


def test_levels_stand_in_every_place() -> None:
    places = {(made.row_features, made.item_levels) for made in models("levels").values()}
    assert places == {
        (False, "none"),
        (True, "none"),
        (False, "target"),
        (False, "history"),
        (True, "history"),
        (True, "both"),
    }


def test_the_guidance_study_gives_its_losses_a_weight() -> None:
    made = {arm.name: arm.config for arm in study("guidance", BASE).arms}
    assert made["ids and tags"].model.content == ()
    for name, config in made.items():
        assert ("align" in config.model.content) == (config.train.align_weight > 0), name
        assert ("distil" in config.model.content) == (config.train.distil_weight > 0), name


@pytest.mark.parametrize("base", ["study", "paper"])
def test_codes_compete_with_as_wide_an_item(base: str) -> None:
    """As wide as whole numbers allow: the parts of an item are as wide as each other."""
    config: RunConfig = preset(base)
    wanted = 2 * config.model.embedding_dim + config.model.content_dim
    for arm in study("quantisation", config).arms:
        made = arm.config.model
        width = 2 * made.embedding_dim + made.content_dim * ("concat" in made.content)
        width += made.embedding_dim * ("codes" in made.content)
        assert abs(width - wanted) <= 1, arm.name
