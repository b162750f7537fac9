"""The op `decide` as the pipeline runs it: its answer steers the DAG, its reason stands in a file and in the tags."""

import json
from pathlib import Path

import pytest
from kfp import dsl

from components import ops
from components.artifacts import hand_over
from components.settings import to_dict
from components.storage.files import read_json, write_json
from components.tracking.runs import run_for
from pipelines.presets import preset

pytestmark = pytest.mark.integration

DIGEST = "sha256:" + "a" * 64
CONFIG = preset("sample")


@pytest.mark.parametrize(
    ("image", "train", "why"),
    [
        (DIGEST, False, "data, config and code are those of champion 3"),
        ("sha256:" + "b" * 64, True, "the code differs from champion 3's"),
    ],
    ids=["unchanged", "a new image"],
)
def test_decide_skips_what_is_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: str, train: bool, why: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    lineage = {"data_md5": "m1", "code_commit": None, "code_changed": False, "image": DIGEST}
    write_json(tmp_path / "lineage/lineage.json", {**lineage, "image": image})
    write_json(tmp_path / "validation/verdict.json", {"rules": []})
    write_json(tmp_path / "champion/champion.json", {"version": "3"})
    write_json(tmp_path / "champion/package/lineage.json", lineage)
    write_json(tmp_path / "champion/package/config.json", to_dict(CONFIG))
    for made in ("lineage", "validation", "champion"):
        hand_over(tmp_path / made)

    decided = ops.decide.python_func(
        config=json.dumps(to_dict(CONFIG)),
        pipeline_run="run-1",
        skip_unchanged=True,
        retrain_above_drift=0.0,
        lineage=dsl.Artifact(uri=str(tmp_path / "lineage")),
        validation=dsl.Artifact(uri=str(tmp_path / "validation")),
        champion=dsl.Model(uri=str(tmp_path / "champion")),
        freshness=dsl.Artifact(uri=str(tmp_path / "freshness")),
    )
    assert decided is train
    assert read_json(tmp_path / "freshness/freshness.json") == {"train": train, "reason": why}
    tags = run_for("run-1", CONFIG.experiment).tags()
    assert (tags["mmctr.freshness"], tags["mmctr.why"]) == ("train" if train else "skip", why)
