"""The whole pipeline on sample data, every step in its container: what runs on a cluster, without the cluster."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.dataset.sample import SIZES, write_sample
from components.ops import CPU_IMAGE, GPU_IMAGE
from components.settings import to_dict, with_overrides
from pipelines.presets import preset
from tests.containers.engine import docker

pytestmark = pytest.mark.containers

# Small enough for minutes; the gate is not what is tried here, so it may well refuse the candidate.
OVERRIDES = ["train.max_epochs=1"]


@pytest.fixture(scope="module", params=["cpu_image", pytest.param("gpu_image", marks=pytest.mark.slow)])
def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "tuple[Path, subprocess.CompletedProcess[str]]":
    """The folder that the containers share, after the run. All steps run in the same image, and on the processor."""
    image = request.getfixturevalue(request.param)
    for name in (CPU_IMAGE, GPU_IMAGE):
        docker("tag", image, f"{name}:latest")
    root = tmp_path_factory.mktemp("shared")
    root.chmod(0o777)  # the steps are user 10001
    write_sample(root / "data", SIZES["tiny"])
    (root / "workspace").mkdir()
    (root / "workspace").chmod(0o777)
    config = with_overrides(preset("sample"), OVERRIDES)
    arguments = {
        "config": json.dumps(to_dict(config)),
        "repository": "",
        "revision": "",
        "folder": str(root / "data"),
        "workspace": str(root / "workspace"),
        "shards": [0],
    }
    given = {"root": str(root), "tracking": f"sqlite:///{root}/workspace/mlflow.db", "arguments": arguments}
    (root / "arguments.json").write_text(json.dumps(given))
    for parent in root.parents:  # pytest's folders are private to their owner
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o001)
    command = [sys.executable, "-m", "tests.containers.run_pipeline", str(root / "arguments.json")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return root, subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_run_goes_through(run: "tuple[Path, subprocess.CompletedProcess[str]]") -> None:
    _, process = run
    assert process.returncode == 0, (process.stdout + process.stderr)[-6000:]


def test_every_step_before_the_gate_left_what_it_promises(run: "tuple[Path, subprocess.CompletedProcess[str]]") -> None:
    root, _ = run
    promised = {
        "ingest/dataset/lineage.json",
        "fetch-champion/champion/champion.json",
        "validate/validation/verdict.json",
        "decide/freshness/freshness.json",
        "embed/embeddings/item_info.parquet",
        "train/training/model.safetensors",
        "evaluate/evaluation/metrics.json",
        "gate/decision/verdict.json",
        "gate/decision/report.html",
    }
    made = {str(path.relative_to(path.parents[2])) for path in root.glob("*/*/*/*")}
    assert promised <= made


def test_what_the_steps_wrote_belongs_to_their_user(run: "tuple[Path, subprocess.CompletedProcess[str]]") -> None:
    root, _ = run
    owners = {path.stat().st_uid for path in root.glob("*/train/training/*")}
    assert owners == {10001}
