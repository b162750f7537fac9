"""The weights of a tiny training of each preset, so that a change of the code that should not change them is noticed.

Each weight is summed up as its length, because processors add numbers in different orders, and so do different
numbers of threads. Print the new lengths with `python -m tests.unit.train.test_golden_weights` where a change is meant.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from safetensors.torch import load_file

from components.train.step import train
from model.config import ModelConfig
from model.presets import PRESETS
from tests.tiny_training import MODEL, recipe, write_inputs

GOLDEN = Path(__file__).with_name("golden_weights.json")
SIZES = ("embedding_dim", "content_dim", "history_length", "layers", "ffn_dim", "last_k", "attention_widths")


def tiny(preset: ModelConfig) -> ModelConfig:
    sizes: dict[str, Any] = {name: getattr(MODEL, name) for name in SIZES}
    return replace(preset, **sizes, deep_widths=(16,), head_widths=preset.head_widths and (8,))


RECENCY = replace(PRESETS["paper"]("small"), interest="recency", heads=4)
MODELS = {
    **{name: tiny(PRESETS[name]("small")) for name in ("paper", "published", "din")},
    "recency-similarity": tiny(replace(RECENCY, content=("concat", "similarity"))),
    "recency-metric-products": tiny(
        replace(RECENCY, content=("concat", "similarity", "metric"), block_products=True, item_levels="target")
    ),
}


def lengths(model: ModelConfig, folder: Path) -> list[float]:
    """Of all trained weights, from short to long: their names may change."""
    train(write_inputs(folder / "inputs"), recipe(model, max_epochs=1), folder / "work", folder / "out")
    weights = load_file(folder / "out" / "model.safetensors")
    return sorted(float(w.double().norm()) for name, w in weights.items() if not name.startswith("table."))


@pytest.mark.parametrize("name", MODELS)
def test_the_weights_are_those_of_earlier_versions(name: str, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())[name]
    assert lengths(MODELS[name], tmp_path) == pytest.approx(golden, rel=1e-3)


if __name__ == "__main__":
    made = {}
    for name, model in MODELS.items():
        with TemporaryDirectory() as folder:
            made[name] = lengths(model, Path(folder))
    sys.stdout.write(json.dumps(made, indent=1) + "\n")
