from pathlib import Path

import pytest

from components.settings import config_hash
from pipelines.presets import PRESETS, preset, resolve


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_whole_run_under_its_own_name(name: str) -> None:
    assert preset(name).preset == name


def test_no_two_presets_are_the_same_run() -> None:
    """`best` starts as what won the studies; two names for one run would make a comparison of nothing."""
    models = {name: config_hash(PRESETS[name]().model) for name in ("best", "paper", "published", "din")}
    assert len(set(models.values())) == len(models), models


def test_an_unknown_preset_names_the_ones_there_are() -> None:
    with pytest.raises(ValueError, match=r"preset = 'papr': no such preset; did you mean 'paper'\? There is best, din"):
        preset("papr")


def test_a_policy_file_changes_the_gate_and_single_fields_come_last(tmp_path: Path) -> None:
    policy = tmp_path / "gate.yaml"
    policy.write_text("auc_floor: 0.7\nminimum_rows: 5\n")
    gate = resolve("sample", ["gate.minimum_rows=9"], policy).gate
    assert (gate.auc_floor, gate.minimum_rows) == (0.7, 9)


def test_a_start_from_the_champion_needs_its_projection() -> None:
    start = "train.start=champion"
    with pytest.raises(ValueError, match=r"train.start = 'champion' with embed.projection = 'fit': .*reuse-champion"):
        resolve("sample", [start])
    assert resolve("sample", [start, "embed.projection=reuse-champion"]).train.start == "champion"
