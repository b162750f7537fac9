"""A schedule spends nothing when there is nothing to learn; in doubt it trains."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.artifacts import Artifacts
from components.decide.step import FreshnessPolicy, judge
from components.run_config import RunConfig
from components.settings import to_dict
from components.storage.files import write_json

CONFIG = RunConfig("sample")
CODE = "sha256:" + "a" * 64
SKIP = FreshnessPolicy(skip_unchanged=True)


def lineage(md5: str, image: str | None = CODE, commit: str | None = None, changed: bool = False) -> dict[str, Any]:
    return {"data_md5": md5, "image": image, "code_commit": commit, "code_changed": changed}


def scene(
    tmp_path: Path,
    *,
    now: dict[str, Any] | None = None,
    then: dict[str, Any] | None = None,
    drift: dict[str, float | None] | None = None,
    version: str | None = "3",
) -> Artifacts:
    """The folders of a run whose champion was made from CONFIG, CODE and data m1."""
    dataset, validation, standing = (tmp_path / name for name in ("dataset", "validation", "champion"))
    write_json(dataset / "lineage.json", now or lineage("m1"))
    rules = [{"name": name, "observed": value} for name, value in (drift or {}).items()]
    write_json(validation / "verdict.json", {"rules": [{"name": "min-rows", "observed": 9.0}, *rules]})
    write_json(standing / "champion.json", {"version": version})
    write_json(standing / "package/config.json", to_dict(CONFIG))
    write_json(standing / "package/lineage.json", then or lineage("m1"))
    return Artifacts(dataset=dataset, validation=validation, champion=standing)


def test_an_unchanged_champion_is_not_trained_again(tmp_path: Path) -> None:
    found = judge(scene(tmp_path), to_dict(CONFIG), SKIP)
    assert (found.train, found.reason) == (False, "data, config and code are those of champion 3")


def test_without_images_the_commit_is_the_code(tmp_path: Path) -> None:
    same = lineage("m1", image=None, commit="c1")
    assert not judge(scene(tmp_path, now=same, then=same), to_dict(CONFIG), SKIP).train


@pytest.mark.parametrize(
    ("changes", "config", "reason"),
    [
        ({"now": lineage("m2")}, CONFIG, "the data differs from champion 3's"),
        ({}, replace(CONFIG, preset="best"), "the config differs from champion 3's"),
        ({"now": lineage("m1", image="sha256:b")}, CONFIG, "the code differs from champion 3's"),
        ({"now": lineage("m1", image=None)}, CONFIG, "the code differs from champion 3's"),
        ({"then": lineage("m1", image=None)}, CONFIG, "the code differs from champion 3's"),
        (
            {"now": lineage("m1", None, "c1"), "then": lineage("m1", None, "c2")},
            CONFIG,
            "the code differs from champion 3's",
        ),
        (
            {"now": lineage("m1", None, "c1", changed=True), "then": lineage("m1", None, "c1", changed=True)},
            CONFIG,
            "the code differs from champion 3's",
        ),
        ({"version": None}, CONFIG, "there is no champion yet"),
    ],
    ids=["data", "config", "image", "no image here", "no image there", "commit", "uncommitted", "first run"],
)
def test_what_changed_or_is_unknown_is_trained(
    tmp_path: Path, changes: dict[str, Any], config: RunConfig, reason: str
) -> None:
    found = judge(scene(tmp_path, **changes), to_dict(config), SKIP)
    assert (found.train, found.reason) == (True, reason)


@pytest.mark.parametrize(
    ("drift", "train", "reason"),
    [
        ({"likes-drift": 0.1, "tags-drift": 0.31}, True, "tags drifted by a PSI of 0.310 from champion 3, above 0.2"),
        (
            {"likes-drift": 0.1, "length-drift": 0.9},
            False,
            "likes drifted by a PSI of 0.100 from champion 3, not above",
        ),
        ({"likes-drift": None}, True, "the drift against champion 3 could not be measured"),
        ({}, True, "the drift against champion 3 could not be measured"),
    ],
    ids=["far", "near; the KS of lengths is no PSI", "not measured", "no rules"],
)
def test_new_data_is_trained_on_when_it_drifted(
    tmp_path: Path, drift: dict[str, float | None], train: bool, reason: str
) -> None:
    folders = scene(tmp_path, now=lineage("m2"), drift=drift)
    found = judge(folders, to_dict(CONFIG), FreshnessPolicy(skip_unchanged=True, retrain_above_drift=0.2))
    assert found.train is train
    assert reason in found.reason


def test_new_code_is_trained_however_small_the_drift(tmp_path: Path) -> None:
    folders = scene(tmp_path, now=lineage("m2", image="sha256:new"), drift={"likes-drift": 0.0})
    assert judge(folders, to_dict(CONFIG), FreshnessPolicy(retrain_above_drift=0.2)).train


def test_a_run_by_hand_trains_without_a_question(tmp_path: Path) -> None:
    assert judge(scene(tmp_path), to_dict(CONFIG), FreshnessPolicy()).train


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="retrain_above_drift = -1"):
        FreshnessPolicy(retrain_above_drift=-1)
