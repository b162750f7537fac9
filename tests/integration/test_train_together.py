"""Two runs of one training at once: the later one waits, and both end with the same results."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny_training import write_inputs

pytestmark = pytest.mark.integration

STEP = """
import sys
from pathlib import Path
from components.artifacts import Artifacts
from components.train.step import train
from tests.tiny_training import recipe

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
made = Artifacts(dataset=folder / "dataset", validation=folder / "validation", embeddings=folder / "embeddings")
train(made, recipe(max_epochs=8, patience=8, checkpoint_steps=1), folder / "work", out)
"""


def test_runs_of_one_training_share_its_results(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    outs = [tmp_path / f"out-{number}" for number in range(3)]
    runs = [
        subprocess.Popen([sys.executable, "-c", STEP, str(tmp_path), str(out)], stderr=subprocess.PIPE, text=True)
        for out in outs
    ]
    for run in runs:
        _, said = run.communicate(timeout=300)
        assert run.returncode == 0, said
    first = (outs[0] / "model.safetensors").read_bytes()
    summaries = [(out / "summary.json").read_text() for out in outs]
    assert [(out / "model.safetensors").read_bytes() == first for out in outs] == [True] * 3
    assert len(set(summaries)) == 1, "more than one of them trained: their times differ"
    assert list((tmp_path / "work").glob("*.lock")) == []
