"""A candidate as the pipeline leaves it before `register`: all artifact folders, with a ranker too small to matter."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.artifacts import Artifacts
from components.dataset.lineage import Lineage
from components.register.step import register
from components.run_config import RunConfig
from components.settings import to_dict
from model import checkpoint
from model.config import ModelConfig
from model.items import ItemTable
from model.older_files import challenge_vocabulary
from model.ranker import Ranker

ITEMS, TAGS, CONTENT = 40, 12, 8
TINY = ModelConfig(
    embedding_dim=4,
    content_dim=4,
    history_length=6,
    ffn_dim=8,
    last_k=2,
    cross_layers=1,
    deep_widths=(8,),
    head_widths=(4,),
    transformer_dropout=0.0,
    deep_dropout=0.0,
    layers=1,
)


def tiny_ranker(seed: int = 1) -> Ranker:
    rng = np.random.default_rng(seed)
    tags, content = rng.integers(0, TAGS, (ITEMS, 5)), rng.normal(size=(ITEMS, CONTENT)).astype(np.float32)
    levels = rng.integers(1, 11, (2, ITEMS))
    for column in (tags, content, levels.T):
        column[0] = 0
    torch.manual_seed(seed)
    table = ItemTable.from_arrays(np.concatenate([tags, levels.T], axis=1), content)
    ranker = Ranker(TINY, challenge_vocabulary(ITEMS, TAGS, 11, CONTENT, tag_width=5), table)
    with torch.no_grad():  # far from the small first weights, so that scores differ visibly
        for weight in ranker.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return ranker.eval()


@dataclass(frozen=True)
class Candidate:
    """The artifact folders under `root`, named as in docs/reference/steps.md."""

    root: Path
    config: RunConfig

    @property
    def made(self) -> Artifacts:
        return Artifacts(**{field.name: self.root / field.name for field in fields(Artifacts)})

    def register(self, pipeline_run: str, out: Path) -> dict[str, Any]:
        return register(self.made, to_dict(self.config), pipeline_run, out)


def _metrics(auc: float, champion: str | None) -> dict[str, Any]:
    def around(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.002, "high": value + 0.002}

    scores = {"auc": around(auc), "grouped_auc": around(auc - 0.1), "log_loss": 0.41, "calibration_error": 0.013}
    worse = {"auc": around(auc - 0.01), "grouped_auc": around(auc - 0.11), "log_loss": 0.42, "calibration_error": 0.02}
    standing = {"status": "scored" if champion else "none", "version": champion, "scores": worse if champion else None}
    return {
        "candidate": scores,
        "champion": standing,
        "comparison": {"user": around(0.01)} if champion else None,
        "rows": 5000,
    }


def make_candidate(
    root: Path, seed: int = 1, name: str = "mmctr", champion: str | None = None, passed: bool = True, chain: int = 0
) -> Candidate:
    candidate = Candidate(root, RunConfig(preset="tiny", model=TINY, registered_name=name, experiment=name))
    for field in fields(Artifacts):
        (root / field.name).mkdir(parents=True)
    checkpoint.save(root / "training" / "model.safetensors", tiny_ranker(seed), {"chain": str(chain)})
    np.savez(root / "embeddings" / "projection.npz", mean=np.zeros(CONTENT))
    contents = {
        "validation/statistics.json": {"label_rate": 0.25},
        "embeddings/manifest.json": {"encoder": "none", "items": ITEMS, "item_info_sha256": "c" * 64},
        "evaluation/metrics.json": _metrics(0.8 + seed / 1000, champion),
        "decision/verdict.json": {
            "passed": passed,
            "first_model": champion is None,
            "summary": "All 1 rules hold.",
            "rules": [
                {"title": "Good enough", "sentence": "AUC 0.801 is above 0.6.", "passed": passed, "applies": True}
            ],
            "policy": {"unit": "user"},
        },
        "champion/champion.json": {"version": champion},
    }
    for path, value in contents.items():
        (root / path).write_text(json.dumps(value))
    lineage = Lineage(
        repository="https://git.example.org/clicks.git",
        revision="main",
        data_commit="a" * 40,
        data_md5="b" * 32,
        files={},
        size=12345,
        remote="s3://clicks",
        code_commit="d" * 40,
        code_changed=False,
        lock_sha256="e" * 64,
        image=None,
    )
    lineage.write(root / "lineage")
    return candidate
