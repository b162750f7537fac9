"""A scheduled run skips training if nothing changed since the champion; if that cannot be known, it trains."""

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
    broken: str = "",
    version: str | None = "3",
) -> Artifacts:
    """The folders of a run whose champion was made from CONFIG, CODE and data m1."""
    recorded, validation, standing = (tmp_path / name for name in ("lineage", "validation", "champion"))
    write_json(recorded / "lineage.json", now or lineage("m1"))
    rules = [
        {"name": name, "observed": value, "passed": name != broken, "limit": "<= 0.3 (some_warn)"}
        for name, value in (drift or {}).items()
    ]
    write_json(validation / "verdict.json", {"rules": [{"name": "min-rows", "observed": 9.0}, *rules]})
    write_json(standing / "champion.json", {"version": version})
    write_json(standing / "package/config.json", to_dict(CONFIG))
    write_json(standing / "package/lineage.json", then or lineage("m1"))
    return Artifacts(lineage=recorded, validation=validation, champion=standing)


def test_an_unchanged_champion_is_not_trained_again(tmp_path: Path) -> None:
    found = judge(scene(tmp_path), to_dict(CONFIG), SKIP)
    assert (found.train, found.reason) == (False, "data, config and code are those of champion 3")


def test_where_a_training_starts_is_no_change_of_the_config(tmp_path: Path) -> None:
    """A refresh policy starts from scratch on Sundays and from the champion on other nights."""
    embed, train = replace(CONFIG.embed, projection="reuse-champion"), replace(CONFIG.train, start="champion")
    warm = replace(CONFIG, embed=embed, train=replace(train, cold_above_drift=0.2))
    assert not judge(scene(tmp_path), to_dict(warm), SKIP).train
    other = replace(warm, train=replace(train, replay_share=0.1))
    assert judge(scene(tmp_path / "b"), to_dict(other), SKIP).reason == "the config differs from champion 3's"


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
        (
            {"now": {"data_md5": "m1", "code_commit": "c1"}, "then": {"data_md5": "m1", "code_commit": "c1"}},
            CONFIG,
            "the code differs from champion 3's",
        ),
        ({"now": lineage("m1", None, ""), "then": lineage("m1", None, "")}, CONFIG, "the code differs"),
        ({"version": None}, CONFIG, "there is no champion yet"),
    ],
    ids=[
        *("data", "config", "image", "no image here", "no image there", "commit", "uncommitted"),
        *("not said whether committed", "no commit", "first run"),
    ],
)
def test_what_changed_or_is_unknown_is_trained(
    tmp_path: Path, changes: dict[str, Any], config: RunConfig, reason: str
) -> None:
    found = judge(scene(tmp_path, **changes), to_dict(config), SKIP)
    assert found.train
    assert found.reason.startswith(reason)


CALM: dict[str, float | None] = {
    "likes-drift": 0.1,
    "views-drift": 0.0,
    "tags-drift": 0.02,
    "items-drift": 0.0,
    "length-drift": 0.01,
    "label-rate-drift": 0.0,
    "unseen-items-drift": 0.02,
    "embedding-drift": 0.1,
}


@pytest.mark.parametrize(
    ("drift", "broken", "train", "reason"),
    [
        pytest.param(
            {},
            "",
            False,
            "likes drifted by a PSI of 0.100 from champion 3, not above 0.2; within their "
            "limits: length, label rate, unseen items, embedding",
            id="near",
        ),
        pytest.param({"tags-drift": 0.2}, "", False, "tags drifted by a PSI of 0.200", id="at-the-limit"),
        pytest.param(
            {"tags-drift": 0.31}, "", True, "tags drifted by a PSI of 0.310 from champion 3, above 0.2", id="far"
        ),
        pytest.param(
            {"items-drift": 0.0, "unseen-items-drift": 0.8},
            "unseen-items-drift",
            True,
            "unseen items differs by 0.800 from champion 3, allowed is <= 0.3 (some_warn)",
            id="new-items-at-PSI-0",
        ),
        pytest.param({"length-drift": 0.9}, "length-drift", True, "length differs by 0.900", id="lengths"),
        pytest.param({"label-rate-drift": 0.4}, "label-rate-drift", True, "label rate differs", id="label-rate"),
        pytest.param({"embedding-drift": 0.4}, "embedding-drift", True, "embedding differs", id="embedding"),
        pytest.param({"embedding-drift": None}, "", False, "not above", id="data-without-vectors"),
        pytest.param({"items-drift": None}, "", True, "could not be measured: items-drift", id="not-measured"),
        pytest.param({"likes-drift": None}, "", False, "not above", id="data-without-levels"),
        pytest.param({"unseen-items-drift": None}, "", True, "measured: unseen-items-drift", id="unseen-not-measured"),
    ],
)
def test_new_data_is_trained_on_when_it_drifted(
    tmp_path: Path, drift: dict[str, float | None], broken: str, train: bool, reason: str
) -> None:
    folders = scene(tmp_path, now=lineage("m2"), drift={**CALM, **drift}, broken=broken)
    found = judge(folders, to_dict(CONFIG), FreshnessPolicy(skip_unchanged=True, retrain_above_drift=0.2))
    assert found.train is train
    assert reason in found.reason


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        pytest.param("config.json", None, "config.json is missing", id="no-config"),
        pytest.param("config.json", "{", "config.json is not JSON", id="damaged-config"),
        pytest.param("config.json", '{"gone": {"field": 1}}', "the config differs", id="a-field-that-is-gone"),
        pytest.param("config.json", "[]", "the config differs", id="no-object"),
        pytest.param("lineage.json", None, "lineage.json is missing", id="no-lineage"),
        pytest.param("lineage.json", "\xff", "lineage.json", id="damaged-lineage"),
        pytest.param("lineage.json", "[]", "holds no JSON object", id="lineage-is-a-list"),
        pytest.param("lineage.json", f'{{"image": "{CODE}"}}', "the data differs", id="lineage-of-another-time"),
    ],
)
def test_a_champion_that_cannot_be_read_is_a_reason_to_train(
    tmp_path: Path, file: str, content: str | None, reason: str
) -> None:
    folders = scene(tmp_path)
    path = folders.champion / "package" / file
    path.unlink()
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    found = judge(folders, to_dict(CONFIG), SKIP)
    assert found.train
    assert reason in found.reason


def test_new_code_is_trained_however_small_the_drift(tmp_path: Path) -> None:
    folders = scene(tmp_path, now=lineage("m2", image="sha256:new"), drift=CALM)
    assert judge(folders, to_dict(CONFIG), FreshnessPolicy(retrain_above_drift=0.2)).train


def test_a_run_started_by_hand_always_trains(tmp_path: Path) -> None:
    assert judge(scene(tmp_path), to_dict(CONFIG), FreshnessPolicy()).train


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="retrain_above_drift = -1"):
        FreshnessPolicy(retrain_above_drift=-1)
