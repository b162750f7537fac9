"""How often the diagnosis warns of good runs, and what it costs: `python -m benchmarks.diagnosis`.

Each seed decides a generated sample and a training of its own. Two rankers: the preset `sample`, and the paper's
transformer on normalised content. The CPU seconds are those of a process that has evaluated before: a fresh one loads
scikit-learn as well, see benchmarks/README.md.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.id_optimizer import generated
from benchmarks.machine import machine
from benchmarks.training import RESULTS
from components.artifacts import Artifacts
from components.dataset.sample import SampleSpec
from components.diagnosis.diagnose import diagnose as diagnose_candidate
from components.evaluate.config import EvaluateConfig
from components.evaluate.step import evaluate
from components.run_config import RunConfig
from components.storage.files import read_json, write_json
from components.train.step import train
from pipelines.presets import preset

SPEC = SampleSpec(train_rows=10_000, content="item_info")
MANIFEST: dict[str, Any] = {"imputed": {}, "imputed_counts": {}, "tag_names": []}


def transformer() -> RunConfig:
    config = preset("sample-paper")
    model = replace(config.model, content_norm="rmsnorm", embedding_std=0.05, deep_dropout=0.5)
    return replace(config, model=model, train=replace(config.train, embedding_l2=0.3))


RANKERS: dict[str, Callable[[], RunConfig]] = {"sample": lambda: preset("sample"), "transformer": transformer}


def diagnosed(config: RunConfig, seed: int, folder: Path) -> dict[str, Any]:
    """The findings of one run, and the CPU seconds of the evaluation and of the diagnosis in it."""
    inputs = generated(folder / "data", replace(SPEC, seed=seed))
    write_json(inputs.embeddings / "manifest.json", MANIFEST)
    write_json(folder / "champion" / "champion.json", {"version": None})
    recipe = replace(config.recipe, train=replace(config.train, seed=seed, device="cpu"))
    summary = train(inputs, recipe, folder / "work", folder / "training")
    made = replace(inputs, training=folder / "training", champion=folder / "champion")
    metrics, seconds = evaluated(made, folder / "out")
    kept = ("name", "warns", "observed", "limit", "sentence")
    return {
        "seed": seed,
        "valid_auc": summary["valid_auc"],
        "test_auc": metrics["candidate"]["auc"]["value"],
        "epochs": [row["valid_auc"] for row in read_json(folder / "training" / "curves.json")["epochs"]],
        "findings": [{name: finding[name] for name in kept} for finding in metrics["diagnosis"]["findings"]],
        **seconds,
    }


def evaluated(made: Artifacts, out: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """The metrics, and the CPU seconds of the step, without loading its modules, and of the diagnosis in it."""
    took: list[float] = []

    def timed(*arguments: Any) -> Any:
        began = time.process_time()
        found = diagnose_candidate(*arguments)
        took.append(time.process_time() - began)
        return found

    with patch("components.evaluate.step.diagnose", timed):
        began = time.process_time()
        metrics = evaluate(made, EvaluateConfig(), "cpu", out)
    whole = time.process_time() - began
    return metrics, {"evaluation_cpu_seconds": round(whole, 3), "diagnosis_cpu_seconds": round(sum(took), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rankers", nargs="+", choices=RANKERS, default=list(RANKERS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULTS / "diagnosis.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    runs: dict[str, list[dict[str, Any]]] = read_json(asked.out)["runs"] if asked.out.is_file() else {}
    for name in asked.rankers:
        runs[name] = []
        for seed in range(1, asked.seeds + 1):
            with tempfile.TemporaryDirectory() as folder:
                found = diagnosed(RANKERS[name](), seed, Path(folder))
            runs[name].append(found)
            warned = [finding["name"] for finding in found["findings"] if finding["warns"]]
            print(name, seed, round(found["test_auc"], 4), warned, flush=True)
            write_json(asked.out, {"machine": machine(), "threads": 1, "train_rows": SPEC.train_rows, "runs": runs})


if __name__ == "__main__":
    main()
